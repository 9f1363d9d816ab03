package peer

import (
	"fmt"
	"slices"
	"time"

	"parley/peer/stats"
)

// Stats measures now; after Run it is what was measured last. It may be called
// from any goroutine; before Run it is empty.
func (c *Call) Stats() stats.Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.final
	if c.live != nil {
		s = measured(c.live)
	}
	closed := 0
	for _, ch := range c.channels {
		s.Channels = append(s.Channels, ch.Stats())
		s.Report = append(s.Report, stats.DataChannel(ch))
		if ch.Closed() {
			closed++
		}
	}
	s.Report = append(s.Report, stats.PeerConnection(len(c.channels), closed))
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
func measured(conns []*connection) stats.Stats {
	var s stats.Stats
	for _, c := range conns {
		if s.RTT == nil {
			s.RTT = c.rtt()
		}
		report := c.statistics()
		for _, out := range report.Outbound {
			if track, ok := stats.NewSentTrack(out, c.recorder); ok {
				s.Tracks = append(s.Tracks, track)
			}
		}
		s.Report = append(s.Report, report.Report()...)
	}
	s.Report = slices.Clip(s.Report)
	return s
}

// maxMeasured is how many channels are measured; ended ones are forgotten first.
const maxMeasured = 256

func (c *connection) rtt() *time.Duration {
	if !c.up.Load() {
		return nil
	}
	pair, ok := c.pc.SCTP().Transport().ICETransport().GetSelectedCandidatePairStats()
	if !ok || pair.ResponsesReceived == 0 {
		return nil
	}
	rtt := time.Duration(pair.CurrentRoundTripTime * float64(time.Second))
	return &rtt
}

// statistics returns what the report of the connection is made from.
func (c *connection) statistics() stats.Connection {
	dtls := c.pc.SCTP().Transport()
	if c.up.Load() {
		if p := c.candidates.SelectedPair(dtls.ICETransport(), c.bw.TargetBitrate()); p != nil {
			c.pair = p // a closed connection has none
		}
	}
	s := stats.Connection{
		DTLS: dtls, LocalCertificate: c.local, Candidates: c.candidates, Transport: &c.agreed, Recorder: c.recorder,
		SelectedPair: c.pair, Pairs: c.tried,
	}
	if c.index > 0 { // of a description without BUNDLE
		s.Prefix = fmt.Sprintf("%d-", c.index)
	}
	out, in := c.streams.all(c.pc)
	for _, o := range out {
		s.Outbound = append(s.Outbound, stats.Outbound{Track: o.Track, MID: o.mid})
	}
	for _, i := range in {
		s.Inbound = append(s.Inbound, stats.Inbound{Track: i.track, MID: i.mid, RID: ridOf(i.track)})
	}
	return s
}
