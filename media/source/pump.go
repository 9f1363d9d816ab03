package source

import (
	"sync"
	"time"

	"github.com/pion/rtcp"
)

// deadline is the read deadline of a track, which the end of a context overrules for good.
type deadline struct {
	track RemoteTrack

	mu    sync.Mutex // guards what follows, and the order of calls of SetReadDeadline
	ended bool
	at    time.Time
}

// set makes a read return at t, or whenever a packet comes if t is zero.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended || d.at.Equal(t) {
		return
	}
	d.at = t
	_ = d.track.SetReadDeadline(t) // fails on a closed track, which the next read tells
}

// end makes all reads return.
func (d *deadline) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended = true
	_ = d.track.SetReadDeadline(time.Unix(1, 0))
}

// pumpRTCP reads until done, or the end of the stream.
func (r *Receiver) pumpRTCP(done <-chan struct{}) {
	for bad := 0; bad < maxBadReads; {
		packets, _, err := r.options.RTCP.ReadRTCP()
		select {
		case <-done:
			return
		default:
		}
		switch {
		case err == nil:
			bad = 0
		case isEnd(err):
			return
		default:
			bad++
		}
		for _, packet := range packets {
			if report, ok := packet.(*rtcp.SenderReport); ok {
				r.clock.report(report)
			}
		}
	}
}

// senderClock is the sender's own clock, as its reports tell it (RFC 3550 section 6.4.1).
type senderClock struct {
	mu        sync.Mutex // guards what follows
	ssrc      uint32
	known     bool
	time      time.Time
	timestamp uint32
}

// reset forgets all reports: ssrc is the sender from now on.
func (c *senderClock) reset(ssrc uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ssrc != ssrc { // a report may have come before the first packet
		c.ssrc, c.known = ssrc, false
	}
}

func (c *senderClock) report(report *rtcp.SenderReport) {
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

// at is the moment of an RTP timestamp on the sender's clock.
func (c *senderClock) at(timestamp, clockRate uint32) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known || clockRate == 0 {
		return time.Time{}
	}
	since := int64(int32(timestamp - c.timestamp)) //nolint:gosec // wraps by design
	return c.time.Add(time.Duration(since) * time.Second / time.Duration(clockRate))
}

// ntpTime converts the seconds since 1900 with 32 bits of fraction. The result is on no clock of ours: senders may count
// from whenever they started.
func ntpTime(ntp uint64) time.Time {
	const secondsTo1970 = 2208988800
	seconds, fraction := int64(ntp>>32)-secondsTo1970, int64(ntp&0xFFFFFFFF) //nolint:gosec // 32 bits each
	return time.Unix(seconds, fraction*int64(time.Second)>>32)
}

// jitter estimates the jitter of arrivals (RFC 3550 section 6.4.1 and appendix A.8).
type jitter struct {
	started   bool
	timestamp uint32
	arrival   time.Time
	estimate  float64 // in units of the clock rate
}

func (j *jitter) add(timestamp, clockRate uint32, now time.Time) {
	if j.started {
		transit := now.Sub(j.arrival).Seconds() * float64(clockRate)
		d := transit - float64(int32(timestamp-j.timestamp)) //nolint:gosec // wraps by design
		if d < 0 {
			d = -d
		}
		j.estimate += (d - j.estimate) / 16
	}
	j.started, j.timestamp, j.arrival = true, timestamp, now
}

func (j *jitter) milliseconds(clockRate uint32) float64 {
	if clockRate == 0 {
		return 0
	}
	return j.estimate / float64(clockRate) * 1000
}
