package peer

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/peer/datachannel"
	"parley/peer/internal/interceptors/rtpstats"
	"parley/peer/stats"
)

// A statsCollector collects the statistics of a call. It may be used by any goroutine.
type statsCollector struct {
	mu       sync.Mutex             // guards the following, and pair and tried of measurements
	live     []*connection          // of the call
	final    stats.Stats            // once live are closed
	channels []*datachannel.Channel // that were opened
}

// Stats returns the statistics of the call: the present ones, after Run the last ones, before Run
// empty ones. The caller may add members to the objects of inbound and outbound streams.
func (c *Call) Stats() stats.Stats { return c.stats.collect() }

// RTT returns the round-trip time of the selected candidate pair by STUN, 0 while it is not
// measured.
func (c *Call) RTT() time.Duration { return c.stats.rtt() }

// setLive sets the connections to measure.
func (s *statsCollector) setLive(conns []*connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = slices.Clone(conns)
}

// opened adds a data channel. Beyond maxMeasured one that is closed is removed, or the oldest.
func (s *statsCollector) opened(ch *datachannel.Channel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.channels = append(s.channels, ch); len(s.channels) > maxMeasured {
		gone := slices.IndexFunc(s.channels, (*datachannel.Channel).Closed)
		s.channels = slices.Delete(s.channels, max(gone, 0), max(gone, 0)+1)
	}
}

// maxMeasured bounds the channels in the statistics.
const maxMeasured = 256

// reported reports whether the event ChannelOpened of a channel was.
func (s *statsCollector) reported(ch *datachannel.Channel) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.channels, ch)
}

// collect returns the statistics of the call.
func (s *statsCollector) collect() stats.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.final
	if s.live != nil {
		all = measured(s.live)
	} else { // callers add members of their own
		all.Report = make(stats.Report, 0, len(s.final.Report)+1)
		for _, o := range s.final.Report {
			all.Report = append(all.Report, maps.Clone(o))
		}
	}
	closed := 0
	for _, ch := range s.channels {
		all.Channels = append(all.Channels, ch.Stats())
		all.Report = append(all.Report, stats.DataChannel(ch))
		if ch.Closed() {
			closed++
		}
	}
	all.Report = append(all.Report, stats.PeerConnection(len(s.channels), closed))
	return all
}

// rtt returns the round-trip time of the first connection that has one.
func (s *statsCollector) rtt() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range s.live {
		if rtt := conn.rtt(); rtt != nil {
			return *rtt
		}
	}
	return 0
}

// recordPairs records the pairs that were checked for the statistics. recordPairs is called when a
// pair is selected, and at intervals before that, because Pion removes all pairs when none has
// worked.
func (s *statsCollector) recordPairs(conn *connection) {
	tried := conn.stats.candidates.Pairs(conn.pionReport())
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(tried) > 0 {
		conn.stats.tried = tried
	}
}

// close measures the connections for the last time, before they are closed.
func (s *statsCollector) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.final, s.live = measured(s.live), nil
}

// measurements are what the statistics of a connection are made from.
type measurements struct {
	recorder    *rtpstats.Recorder
	candidates  *stats.Candidates
	certificate []byte // ours, as DER
	transport   stats.Transport
	up          atomic.Bool // ICE has connected: before that, Pion's statistics race with its start

	pair  stats.Object   // selected when statistics were made last; guarded by statsCollector.mu
	tried []stats.Object // pairs that were checked, selected or not; guarded by statsCollector.mu
}

// measured returns the statistics of connections.
func measured(conns []*connection) stats.Stats {
	var s stats.Stats
	for _, c := range conns {
		if s.RTT == nil {
			s.RTT = c.rtt()
		}
		report := c.statistics()
		for _, out := range report.Outbound {
			if track, ok := stats.NewSentTrack(out, c.stats.recorder); ok {
				s.Tracks = append(s.Tracks, track)
			}
		}
		s.Report = append(s.Report, report.Report()...)
	}
	s.Report = slices.Clip(s.Report)
	return s
}

// rtt returns the round-trip time of the selected pair, nil while it is not measured.
func (c *connection) rtt() *time.Duration {
	if !c.stats.up.Load() {
		return nil
	}
	pair, ok := c.pc.SCTP().Transport().ICETransport().GetSelectedCandidatePairStats()
	if !ok || pair.ResponsesReceived == 0 {
		return nil
	}
	rtt := time.Duration(pair.CurrentRoundTripTime * float64(time.Second))
	return &rtt
}

// statistics returns the objects of which the report of the connection is made.
func (c *connection) statistics() stats.Connection {
	dtls := c.pc.SCTP().Transport()
	if c.stats.up.Load() {
		if p := c.stats.candidates.SelectedPair(dtls.ICETransport(), c.senders.bw.TargetBitrate()); p != nil {
			c.stats.pair = p // a closed connection has none
		}
	}
	s := stats.Connection{
		DTLS: dtls, LocalCertificate: c.stats.certificate, Candidates: c.stats.candidates, Transport: &c.stats.transport, Recorder: c.stats.recorder,
		SelectedPair: c.stats.pair, Pairs: c.stats.tried,
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

// pionReport returns PeerConnection.GetStats, nil when Pion closes the connection by itself.
func (c *connection) pionReport() webrtc.StatsReport {
	c.logs.reading.Lock()
	defer c.logs.reading.Unlock()
	if c.logs.closes {
		return nil
	}
	return c.pc.GetStats()
}

// A pairReporter reports the selected candidate pair of each connection. A pairReporter is used by
// the goroutine of Run.
type pairReporter struct {
	cfg   *callConfig
	stats *statsCollector
}

// selectedPair is what was reported of the pair of one connection.
type selectedPair struct {
	reported bool
	// ahead is the pair that was reported before Pion's callback, nil for none.
	ahead *webrtc.ICECandidatePair
}

// selected handles Pion's callback for a selected pair.
func (r *pairReporter) selected(conn *connection, p *webrtc.ICECandidatePair) {
	if conn.selected.ahead == nil {
		r.report(conn, p)
	} else if transportAddressOf(p.Local) == transportAddressOf(conn.selected.ahead.Local) &&
		transportAddressOf(p.Remote) == transportAddressOf(conn.selected.ahead.Remote) {
		conn.selected.ahead = nil // the next callback is for a new pair
	}
}

// reportSelected reports the selected pair of a connection that has connected, if Pion's callback
// for it has not come yet: that may come after the callback of the state, when the call is over.
func (r *pairReporter) reportSelected(conn *connection) {
	if conn.selected.reported {
		return
	}
	p, err := conn.pc.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
	if err == nil && p != nil {
		conn.selected.ahead = p
		r.report(conn, p)
	}
}

// report reports a selected pair.
func (r *pairReporter) report(conn *connection, p *webrtc.ICECandidatePair) {
	conn.selected.reported, conn.progress.reached = true, true
	r.stats.recordPairs(conn)
	r.cfg.OnEvent(pairEvent(p))
}

// pairsRequest is posted by Pairs.
type pairsRequest struct{ pairs chan []stats.Pair }

// Pairs returns the candidate pairs, the selected ones first and those without a response last. It
// waits for the goroutine of Run, so it must not be called from OnEvent. It returns nil after Run.
func (c *Call) Pairs() []stats.Pair {
	w := pairsRequest{make(chan []stats.Pair, 1)}
	c.box.post(w)
	select {
	case p := <-w.pairs:
		return p
	case <-c.box.done:
		return nil
	}
}
