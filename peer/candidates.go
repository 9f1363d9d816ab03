package peer

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"

	"parley/peer/internal/candidate"
	"parley/peer/internal/jsep"
)

// candidates exchanges ICE candidates with the peer (trickle ICE, RFC 8838). candidates is used by
// the goroutine of Run.
type candidates struct {
	cfg        *callConfig
	transports *transports
	negotiator *negotiator
	signaling  *signaling

	early         []webrtc.ICECandidateInit // of the peer, before any description
	count         int                       // of the peer, in this ICE session
	dropped       bool                      // some were dropped, and that was reported
	ended         bool                      // the peer sends end-of-candidates
	missingWarned bool                      // warnMissing has reported
}

// maxCandidates bounds the remote candidates of one ICE session.
const maxCandidates = 500

// receive handles a candidate of the peer. The error says why it is dropped.
func (c *candidates) receive(init webrtc.ICECandidateInit) error {
	if strings.TrimSpace(init.Candidate) == "" { // RFC 8838 section 13
		c.ended = true
		if c.transports.conns[0].remoteSet {
			init.Candidate = ""
			c.add(init)
		}
		return nil
	}
	// libdatachannel passes on the whole line of the description, which browsers accept as well.
	init.Candidate = strings.TrimPrefix(init.Candidate, "a=")
	cand, err := candidate.Parse(init.Candidate)
	if err != nil {
		return err
	}
	if d := c.negotiator.deferred; d != nil && d.Owns(init) && len(d.candidates) < maxCandidates {
		d.candidates = append(d.candidates, init)
		return nil
	}
	if c.count++; c.count > maxCandidates {
		if !c.dropped {
			c.dropped = true
			c.cfg.OnEvent(Warned{fmt.Sprintf("the peer has sent more than %d candidates, the others are dropped", maxCandidates)})
		}
		return fmt.Errorf("got more than %d", maxCandidates)
	}
	found := candidateEvent(true, cand)
	conn := c.transports.connectionFor(init)
	conn.progress.remote[found.Type]++
	conn.stats.candidates.AddRemote(cand)
	c.cfg.OnEvent(found)
	if !c.transports.conns[0].remoteSet {
		c.early = append(c.early, init)
		return nil
	}
	c.add(init)
	return nil
}

// add adds a candidate of the peer to its connection.
func (c *candidates) add(init webrtc.ICECandidateInit) {
	if err := c.transports.connectionFor(init).pc.AddICECandidate(init); err != nil {
		c.cfg.Logger.Debug("candidate refused", "error", err)
	}
}

// restart notes that a new ICE session begins.
func (c *candidates) restart() {
	c.count, c.dropped = len(c.early), false
}

// send sends a candidate of ours, or end-of-candidates for nil.
func (c *candidates) send(ctx context.Context, conn *connection, cand *webrtc.ICECandidate) error {
	var init webrtc.ICECandidateInit
	switch {
	case cand == nil:
		c.cfg.OnEvent(GatheringComplete{})
		// Peers written to the original wire may fail on a candidate without a line.
		if conn.answerHeld || !c.negotiator.withParley() && !c.ended && !c.cfg.NoRenegotiation {
			return nil
		}
	case conn.redundant(cand):
		return nil
	default:
		found := iceCandidateEvent(false, cand)
		conn.stats.candidates.Add(false, cand)
		conn.progress.local[found.Type]++
		c.cfg.OnEvent(found)
		switch {
		case conn.answerHeld && conn.holdExpired:
			return c.negotiator.sendHeldAnswer(ctx, conn) // this is its first candidate
		case conn.answerHeld:
			return nil // it will be in the answer
		case conn.holdExpired && c.count == 0:
			return nil // the peer, which has sent no candidate either, does not trickle
		}
		init = cand.ToJSON()
	}
	if s, ok := jsep.FirstActive(conn.sections); ok {
		index := uint16(s.Index)
		init.SDPMLineIndex, init.SDPMid = &index, &s.Mid
	}
	return c.signaling.send(ctx, func(ctx context.Context) error { return c.cfg.Signaler.Candidate(ctx, init) })
}

// warnMissing warns, once, when no candidate of the peer has come for a while. The call goes on,
// because candidates may still come (RFC 8863).
func (c *candidates) warnMissing() {
	if !c.missingWarned && c.transports.conns[0].progress.stuck() && time.Since(c.transports.started) >= 2*c.cfg.Timeouts.Answer {
		c.missingWarned = true
		c.cfg.OnEvent(Warned{"no candidate of the peer has come yet; " + stuckHint})
	}
}

// redundant reports whether a local candidate has been sent already: without a NAT, the
// server-reflexive candidate is a host candidate (RFC 8445 section 5.1.3).
func (c *connection) redundant(cand *webrtc.ICECandidate) bool {
	at := transportAddressOf(cand)
	if cand.Typ == webrtc.ICECandidateTypeHost {
		c.hosts[at] = true
		return false
	}
	return cand.Typ == webrtc.ICECandidateTypeSrflx && c.hosts[at]
}

// transportAddress is where a candidate receives.
type transportAddress struct {
	protocol webrtc.ICEProtocol
	address  string
	port     uint16
}

// transportAddressOf returns the transport address of a candidate.
func transportAddressOf(c *webrtc.ICECandidate) transportAddress {
	return transportAddress{c.Protocol, c.Address, c.Port}
}

// candidateEvent returns the event for a candidate of the peer.
func candidateEvent(remote bool, c ice.Candidate) CandidateFound {
	return CandidateFound{
		Remote:   remote,
		Type:     c.Type().String(),
		Protocol: c.NetworkType().NetworkShort(),
		Address:  net.JoinHostPort(c.Address(), strconv.Itoa(c.Port())),
	}
}

// iceCandidateEvent returns the event for a candidate.
func iceCandidateEvent(remote bool, c *webrtc.ICECandidate) CandidateFound {
	return CandidateFound{
		Remote:   remote,
		Type:     c.Typ.String(),
		Protocol: c.Protocol.String(),
		Address:  net.JoinHostPort(c.Address, strconv.Itoa(int(c.Port))),
	}
}

// pairEvent returns the event for the selected pair.
func pairEvent(p *webrtc.ICECandidatePair) PairSelected {
	relay := webrtc.ICECandidateTypeRelay
	return PairSelected{
		Local:   iceCandidateEvent(false, p.Local),
		Remote:  iceCandidateEvent(true, p.Remote),
		Relayed: p.Local.Typ == relay || p.Remote.Typ == relay,
	}
}
