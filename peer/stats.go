package peer

import (
	"fmt"
	"slices"
	"time"

	"github.com/pion/webrtc/v4"
)

// Stats is what a call has measured of its sending side and its path. What was
// not measured is nil or absent, never 0. Whole frames that come are measured
// by who reads them.
type Stats struct {
	// RTT of the selected candidate pair, by STUN.
	RTT      *time.Duration
	Tracks   []SentTrack
	Channels []ChannelStats
	// Report is all of it by W3C's names, both directions.
	Report Report
}

// SentTrack is one outgoing RTP stream.
type SentTrack struct {
	Kind    webrtc.RTPCodecType
	Codec   string // MIME type
	Packets uint64
	Bytes   uint64 // payload
	// Of the other side's last receiver report, nil without one.
	Lost   *int64
	Jitter *time.Duration
	RTT    *time.Duration
}

// ChannelStats is one data channel.
type ChannelStats struct {
	Label                          string
	MessagesSent, MessagesReceived uint64
	BytesSent, BytesReceived       uint64
}

// Stats measures now; after Run it is what was measured last. It may be called
// from any goroutine; before Run it is empty.
func (c *Call) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.final
	if c.live != nil {
		s = measured(c.live)
	}
	closed := 0
	for _, ch := range c.channels {
		s.Channels = append(s.Channels, ch.stats())
		s.Report = append(s.Report, ch.report())
		if ch.dc.ReadyState() != webrtc.DataChannelStateOpen {
			closed++
		}
	}
	s.Report = append(s.Report, Object{"id": "PC", "type": "peer-connection", "timestamp": stamp(time.Now()),
		"dataChannelsOpened": len(c.channels), "dataChannelsClosed": closed})
	return s
}

// RTT is the round trip of the selected candidate pair, by STUN, 0 while it is not
// measured. It may be called from any goroutine.
func (c *Call) RTT() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.live {
		if rtt := conn.rtt(); rtt != nil {
			return *rtt
		}
	}
	return 0
}

// measured is what the connections have measured.
func measured(conns []*connection) Stats {
	var s Stats
	for _, c := range conns {
		if s.RTT == nil {
			s.RTT = c.rtt()
		}
		s.Tracks = append(s.Tracks, c.sentTracks()...)
		prefix := ""
		if c.nth > 0 { // of a description without BUNDLE
			prefix = fmt.Sprintf("%d-", c.nth)
		}
		s.Report = append(s.Report, c.report(prefix)...)
	}
	s.Report = slices.Clip(s.Report)
	return s
}

// maxMeasured is how many channels are measured; ended ones are forgotten first.
const maxMeasured = 256

// stats of a channel are counted here: Pion's GetStats is not safe beside a
// connection that the other side closes.
func (c *Channel) stats() ChannelStats {
	return ChannelStats{
		Label:        c.Label(),
		MessagesSent: c.messagesSent.Load(), MessagesReceived: c.messagesReceived.Load(),
		BytesSent: c.bytesSent.Load(), BytesReceived: c.bytesReceived.Load(),
	}
}

// report is the channel by W3C's names.
func (c *Channel) report() Object {
	s := c.stats()
	o := Object{"id": "D" + c.Label(), "type": "data-channel", "timestamp": stamp(time.Now()),
		"label": s.Label, "protocol": c.dc.Protocol(), "state": c.dc.ReadyState().String(),
		"messagesSent": s.MessagesSent, "bytesSent": s.BytesSent,
		"messagesReceived": s.MessagesReceived, "bytesReceived": s.BytesReceived}
	if id := c.dc.ID(); id != nil {
		o["id"], o["dataChannelIdentifier"] = fmt.Sprintf("D%d", *id), *id
	}
	return o
}

func (c *connection) rtt() *time.Duration {
	if !c.up.Load() {
		return nil
	}
	pair, ok := c.pc.SCTP().Transport().ICETransport().GetSelectedCandidatePairStats()
	if !ok || pair.ResponsesReceived == 0 {
		return nil
	}
	return seconds(pair.CurrentRoundTripTime)
}

func (c *connection) sentTracks() []SentTrack {
	var sent []SentTrack
	all, _ := c.streams.all(c.pc)
	for _, o := range all {
		ssrc, codec := o.Binding()
		s, ok := c.recorder.Outbound(ssrc)
		if !ok {
			continue
		}
		track := SentTrack{Kind: o.Kind(), Codec: codec.MimeType, Packets: s.PacketsSent, Bytes: s.BytesSent}
		if s.RoundTripTimeMeasurements > 0 {
			track.Lost, track.RTT, track.Jitter = &s.PacketsLost, &s.RoundTripTime, seconds(s.Jitter)
		}
		sent = append(sent, track)
	}
	return sent
}

func seconds(s float64) *time.Duration {
	d := time.Duration(s * float64(time.Second))
	return &d
}
