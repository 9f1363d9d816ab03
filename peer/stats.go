package peer

import (
	"fmt"
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

// A pairReporter reports the selected candidate pair of each connection. It is used by the goroutine
// of Run.
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

// reported tells if the opening of a channel was.
func (s *statsCollector) reported(ch *datachannel.Channel) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.channels, ch)
}

// Stats measures now; after Run it is what was measured last. It may be called
// from any goroutine; before Run it is empty.
func (c *Call) Stats() stats.Stats {
	c.stats.mu.Lock()
	defer c.stats.mu.Unlock()
	s := c.stats.final
	if c.stats.live != nil {
		s = measured(c.stats.live)
	}
	closed := 0
	for _, ch := range c.stats.channels {
		s.Channels = append(s.Channels, ch.Stats())
		s.Report = append(s.Report, stats.DataChannel(ch))
		if ch.Closed() {
			closed++
		}
	}
	s.Report = append(s.Report, stats.PeerConnection(len(c.stats.channels), closed))
	return s
}

// RTT is the round trip of the selected candidate pair, by STUN, 0 while it is not
// measured. It may be called from any goroutine.
func (c *Call) RTT() time.Duration {
	c.stats.mu.Lock()
	defer c.stats.mu.Unlock()
	for _, conn := range c.stats.live {
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
			if track, ok := stats.NewSentTrack(out, c.stats.recorder); ok {
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

// statistics returns what the report of the connection is made from.
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
	out, in := c.senders.streams.all(c.pc)
	for _, o := range out {
		s.Outbound = append(s.Outbound, stats.Outbound{Track: o.Track, MID: o.mid})
	}
	for _, i := range in {
		s.Inbound = append(s.Inbound, stats.Inbound{Track: i.track, MID: i.mid, RID: ridOf(i.track)})
	}
	return s
}

// pairsRequest is posted by Pairs.
type pairsRequest struct{ pairs chan []stats.Pair }

// Pairs are the pairs now, the selected ones first, then those that got no answer. It
// waits for the goroutine of Run, so it must not be called from OnEvent, and
// returns nil after Run.
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

// pionReport is PeerConnection.GetStats for the goroutine of Run alone, which is
// also the one that closes the connection; nil when Pion closes it by itself.
func (c *connection) pionReport() webrtc.StatsReport {
	c.logs.reading.Lock()
	defer c.logs.reading.Unlock()
	if c.logs.closes {
		return nil
	}
	return c.pc.GetStats()
}

// recordPairs keeps the pairs that were tried for the statistics: when one of them
// is selected, and before that from time to time, as Pion forgets them all when
// none has worked.
func (s *statsCollector) recordPairs(conn *connection) {
	tried := conn.stats.candidates.Pairs(conn.pionReport())
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(tried) > 0 {
		conn.stats.tried = tried
	}
}

// pairSelected takes what Pion's callback tells.
func (r *pairReporter) selected(conn *connection, p *webrtc.ICECandidatePair) {
	if conn.selected.ahead == nil {
		r.report(conn, p)
	} else if transportAddressOf(p.Local) == transportAddressOf(conn.selected.ahead.Local) && transportAddressOf(p.Remote) == transportAddressOf(conn.selected.ahead.Remote) {
		conn.selected.ahead = nil // from here on the callbacks tell what is new
	}
}

// reportSelectedPair tells the pair of a connection that is up, if Pion's callback has not: it
// may come after that of the state, and a call that waits for nothing else is over
// by then.
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

func (r *pairReporter) report(conn *connection, p *webrtc.ICECandidatePair) {
	conn.selected.reported, conn.progress.reached = true, true
	r.stats.recordPairs(conn)
	r.cfg.OnEvent(pairEvent(p))
}
