package receiver

import (
	"sync"
	"time"

	"github.com/pion/rtcp"
)

// senderClock maps RTP timestamps to the sender's wall clock by its latest sender report (RFC 3550
// section 6.4.1).
type senderClock struct {
	mu        sync.Mutex // guards all fields
	ssrc      uint32
	known     bool
	time      time.Time
	timestamp uint32
}

// reset forgets the reports of senders other than ssrc. One of ssrc may have arrived before the
// first packet.
func (c *senderClock) reset(ssrc uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ssrc != ssrc {
		c.ssrc, c.known = ssrc, false
	}
}

func (c *senderClock) handleReport(report *rtcp.SenderReport) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ssrc == 0 {
		c.ssrc = report.SSRC
	}
	if report.SSRC != c.ssrc || report.NTPTime == 0 {
		return
	}
	c.known, c.time, c.timestamp = true, ntpTime(report.NTPTime), report.RTPTime
}

// at returns the time of an RTP timestamp on the sender's clock, zero before the first report.
func (c *senderClock) at(timestamp, clockRate uint32) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known || clockRate == 0 {
		return time.Time{}
	}
	since := int64(int32(timestamp - c.timestamp)) //nolint:gosec // wraps by design
	return c.time.Add(time.Duration(since) * time.Second / time.Duration(clockRate))
}

// ntpTime converts an NTP timestamp: seconds since 1900 and 32 bits of fraction. Senders may count
// from any time.
func ntpTime(ntp uint64) time.Time {
	const secondsTo1970 = 2208988800
	seconds, fraction := int64(ntp>>32)-secondsTo1970, int64(ntp&0xFFFFFFFF) //nolint:gosec // 32 bits each
	return time.Unix(seconds, fraction*int64(time.Second)>>32)
}
