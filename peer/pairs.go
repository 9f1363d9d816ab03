package peer

import (
	"github.com/pion/webrtc/v4"

	"parley/peer/stats"
)

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
func (c *Call) recordPairs(conn *connection) {
	tried := conn.candidates.Pairs(conn.pionReport())
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(tried) > 0 {
		conn.tried = tried
	}
}

// pairSelected takes what Pion's callback tells.
func (c *Call) pairSelected(conn *connection, p *webrtc.ICECandidatePair) {
	if conn.reportedAhead == nil {
		c.reportPair(conn, p)
	} else if transportAddressOf(p.Local) == transportAddressOf(conn.reportedAhead.Local) && transportAddressOf(p.Remote) == transportAddressOf(conn.reportedAhead.Remote) {
		conn.reportedAhead = nil // from here on the callbacks tell what is new
	}
}

// reportSelectedPair tells the pair of a connection that is up, if Pion's callback has not: it
// may come after that of the state, and a call that waits for nothing else is over
// by then.
func (c *Call) reportSelectedPair(conn *connection) {
	if conn.pairReported {
		return
	}
	p, err := conn.pc.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
	if err == nil && p != nil {
		conn.reportedAhead = p
		c.reportPair(conn, p)
	}
}

func (c *Call) reportPair(conn *connection, p *webrtc.ICECandidatePair) {
	conn.pairReported, conn.progress.reached = true, true
	c.recordPairs(conn)
	c.cfg.OnEvent(pairEvent(p))
}
