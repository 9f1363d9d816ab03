package peer

import (
	"cmp"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/pion/webrtc/v4"
)

// Pair is a candidate pair that ICE has looked at, or would have.
type Pair struct {
	Local, Remote CandidateFound
	State         webrtc.StatsICECandidatePairState
	Nominated     bool
	// Checks were sent, Answers came to them, and Heard are the other side's checks.
	Checks, Answers, Heard uint64
	RTT                    time.Duration // of the latest answer, 0 without one
}

// pairsWanted is posted by Pairs.
type pairsWanted struct{ pairs chan []Pair }

// Pairs are the pairs now, the selected ones first, then those that got no answer. It
// waits for the goroutine of Run, so it must not be called from OnEvent, and
// returns nil after Run.
func (c *Call) Pairs() []Pair {
	w := pairsWanted{make(chan []Pair, 1)}
	c.box.post(w)
	select {
	case p := <-w.pairs:
		return p
	case <-c.box.done:
		return nil
	}
}

// pionsReport is PeerConnection.GetStats for the goroutine of Run alone, which is
// also the one that closes the connection; nil when Pion closes it by itself.
func (c *connection) pionsReport() webrtc.StatsReport {
	c.logs.reading.Lock()
	defer c.logs.reading.Unlock()
	if c.logs.closes {
		return nil
	}
	return c.pc.GetStats()
}

// pairs reads Pion's report.
func (c *connection) pairs() []Pair {
	report := c.pionsReport()
	var pairs []Pair
	for _, s := range report {
		p, ok := s.(webrtc.ICECandidatePairStats)
		if !ok {
			continue
		}
		pairs = append(pairs, Pair{
			Local: foundIn(report, p.LocalCandidateID, false), Remote: foundIn(report, p.RemoteCandidateID, true),
			State: p.State, Nominated: p.Nominated,
			Checks: uint64(p.RequestsSent), Answers: uint64(p.ResponsesReceived), Heard: uint64(p.RequestsReceived),
			RTT: time.Duration(p.CurrentRoundTripTime * float64(time.Second)),
		})
	}
	return pairs
}

func comparePairs(a, b Pair) int {
	return cmp.Or(-cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.Local.Address, b.Local.Address), cmp.Compare(a.Remote.Address, b.Remote.Address))
}

// rank puts first what was selected, and then what should have worked and did
// not.
func (p Pair) rank() int {
	relayed := p.Local.Type == "relay" || p.Remote.Type == "relay"
	switch {
	case p.Nominated:
		return 4
	case p.Checks > 0 && p.Answers == 0 && !relayed:
		return 3
	case p.Checks > 0 && p.Answers == 0:
		return 2
	case p.Answers > 0:
		return 1
	}
	return 0
}

func foundIn(report webrtc.StatsReport, id string, remote bool) CandidateFound {
	c, ok := report[id].(webrtc.ICECandidateStats)
	if !ok {
		return CandidateFound{Remote: remote}
	}
	return CandidateFound{
		Remote: remote, Type: c.CandidateType.String(), Protocol: c.Protocol,
		Address: net.JoinHostPort(c.IP, strconv.Itoa(int(c.Port))),
	}
}

// triedPairs are the pairs by W3C's names, as they are now.
func (c *connection) triedPairs() []Object {
	report := c.pionsReport()
	now := stamp(time.Now())
	var tried []Object
	for _, s := range report {
		p, ok := s.(webrtc.ICECandidatePairStats)
		if !ok {
			continue
		}
		o := Object{
			"timestamp": now, "localCandidateId": c.seen.stats(report[p.LocalCandidateID]), "remoteCandidateId": c.seen.stats(report[p.RemoteCandidateID]),
			"state": string(p.State), "nominated": p.Nominated,
			"requestsSent": p.RequestsSent, "requestsReceived": p.RequestsReceived,
			"responsesSent": p.ResponsesSent, "responsesReceived": p.ResponsesReceived,
		}
		if p.ResponsesReceived > 0 {
			o["currentRoundTripTime"], o["totalRoundTripTime"] = p.CurrentRoundTripTime, p.TotalRoundTripTime
		}
		if o["localCandidateId"] != "" && o["remoteCandidateId"] != "" {
			tried = append(tried, o)
		}
	}
	slices.SortFunc(tried, func(a, b Object) int {
		return cmp.Or(cmp.Compare(a["localCandidateId"].(string), b["localCandidateId"].(string)),
			cmp.Compare(a["remoteCandidateId"].(string), b["remoteCandidateId"].(string)))
	})
	return tried
}

// notePairs keeps the pairs that were tried for the statistics: when one of them
// is selected, and before that from time to time, as Pion forgets them all when
// none has worked.
func (c *Call) notePairs(conn *connection) {
	tried := conn.triedPairs()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(tried) > 0 {
		conn.tried = tried
	}
}

// pairSelected takes what Pion's callback tells.
func (c *Call) pairSelected(conn *connection, p *webrtc.ICECandidatePair) {
	if conn.ahead == nil {
		c.tellPair(conn, p)
	} else if transportAddressOf(p.Local) == transportAddressOf(conn.ahead.Local) && transportAddressOf(p.Remote) == transportAddressOf(conn.ahead.Remote) {
		conn.ahead = nil // from here on the callbacks tell what is new
	}
}

// pairNow tells the pair of a connection that is up, if Pion's callback has not: it
// may come after that of the state, and a call that waits for nothing else is over
// by then.
func (c *Call) pairNow(conn *connection) {
	if conn.paired {
		return
	}
	p, err := conn.pc.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
	if err == nil && p != nil {
		conn.ahead = p
		c.tellPair(conn, p)
	}
}

func (c *Call) tellPair(conn *connection, p *webrtc.ICECandidatePair) {
	conn.paired, conn.progress.reached = true, true
	c.notePairs(conn)
	c.cfg.OnEvent(pairEvent(p))
}
