package peer

import (
	"fmt"
	"slices"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/peer/datachannel"
)

// Stats is what a call has measured of its sending side and its path. What was
// not measured is nil or absent, never 0. Whole frames that come are measured
// by who reads them.
type Stats struct {
	// RTT of the selected candidate pair, by STUN.
	RTT      *time.Duration
	Tracks   []SentTrack
	Channels []datachannel.Stats
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
		s.Channels = append(s.Channels, ch.Stats())
		s.Report = append(s.Report, channelReport(ch))
		if ch.Closed() {
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

// channelReport is a data channel by W3C's names.
func channelReport(ch *datachannel.Channel) Object {
	state := webrtc.DataChannelStateOpen
	if ch.Closed() {
		state = webrtc.DataChannelStateClosed
	}
	s := ch.Stats()
	return Object{"id": fmt.Sprintf("D%d", ch.ID()), "type": "data-channel", "timestamp": stamp(time.Now()),
		"label": s.Label, "protocol": ch.Protocol(), "dataChannelIdentifier": ch.ID(), "state": state.String(),
		"messagesSent": s.MessagesSent, "bytesSent": s.BytesSent,
		"messagesReceived": s.MessagesReceived, "bytesReceived": s.BytesReceived}
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
