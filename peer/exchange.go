package peer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"parley/peer/internal/icenet"
	"parley/peer/internal/jsep"
)

// prepareFirstOffer adds tracks and channels of the configuration to the connection.
func (c *Call) prepareFirstOffer() error {
	conn := c.conns[0]
	if err := conn.offerTracks(&c.cfg); err != nil {
		return err
	}
	c.restoreMuted()
	return c.openChannels(conn, false)
}

// openChannels opens the channels of the configuration; text goes by the first
// of them that is reported by events.
func (c *Call) openChannels(conn *connection, answering bool) error {
	for _, o := range c.cfg.Channels {
		if !o.Detached && (!answering || o.Negotiated) {
			c.text.label, c.text.named = o.Label, true
			break
		}
	}
	return conn.openChannels(c.cfg.Channels, answering)
}

// acceptable reports what is wrong with a description, before it changes anything.
func (c *Call) acceptable(d *jsep.Description, answer bool) ([]part, error) {
	parts, err := c.assignTransports(d, answer)
	if err == nil {
		err = c.verify(d, parts)
	}
	return parts, err
}

// acceptAnswer sets our offer and the peer's answer.
func (c *Call) acceptAnswer(d *jsep.Description) error {
	parts, err := c.acceptable(d, true)
	if err != nil {
		return err
	}
	parts = c.closeRejectedTransports(parts)
	for _, p := range parts {
		if p.Transport == nil {
			return errors.New("invalid answer: has a section that was not offered")
		}
		if err := p.Transport.applyAnswer(&c.cfg, p.Description); err != nil {
			return err
		}
	}
	c.restoreMuted()
	c.remoteApplied(d, parts)
	return nil
}

// acceptOffer sets the peer's offer and our answer, with one connection for each of its transports.
func (c *Call) acceptOffer(d *jsep.Description) error {
	parts, err := c.acceptable(d, false)
	if err != nil {
		return err
	}
	c.startClock()
	first := !c.conns[0].remoteSet
	tracks := c.cfg.Media.Tracks
	if first {
		err = c.openChannels(c.conns[0], true)
	} else {
		tracks = nil // they have their sections
	}
	if err != nil {
		return err
	}
	parts = c.closeRejectedTransports(parts)
	for i := range parts {
		if parts[i].Transport == nil {
			if err := c.addRemoteTransport(&parts[i]); err != nil {
				return err
			}
		}
		if tracks, err = parts[i].Transport.applyOffer(&c.cfg, parts[i].Description, tracks); err != nil {
			return err
		}
	}
	c.restoreMuted()
	for _, t := range tracks {
		c.cfg.OnEvent(TrackRejected{t, fmt.Sprintf("the offer has no section for %s", t.Kind())})
	}
	c.remoteApplied(d, parts)
	return nil
}

// restoreStable returns the connections to the signaling state stable, after a description that Pion could
// not apply as a whole. Pion has no rollback, but it can answer as much of an offer as it has read.
func (c *Call) restoreStable() error {
	for _, conn := range c.conns {
		if conn.pc.SignalingState() == webrtc.SignalingStateHaveRemoteOffer {
			answer, err := conn.pc.CreateAnswer(nil)
			if err == nil {
				err = conn.pc.SetLocalDescription(answer)
			}
			if err != nil {
				return err
			}
		}
		if s := conn.pc.SignalingState(); s != webrtc.SignalingStateStable {
			return fmt.Errorf("the signaling state is %s", s)
		}
	}
	return nil
}

// remoteApplied notes a description of the peer that was applied, and adds the candidates that
// came before it.
func (c *Call) remoteApplied(d *jsep.Description, parts []part) {
	restarted := c.current != nil && jsep.RestartsICE(c.current.SDP(), d.SDP(), !c.layout.Unbundled)
	if restarted || c.current == nil {
		c.candidates.restart()
	}
	c.mu.Lock()
	c.remote = &d.Identity
	c.mu.Unlock()
	c.current = d
	c.layout.Record(d, parts)
	for _, p := range parts {
		p.Transport.progress.described(p.Description)
	}
	early := c.candidates.early
	c.candidates.early = nil
	for _, init := range early {
		c.addCandidate(init)
	}
}

// currentLocal returns our description in force as it goes over the wire.
func (c *Call) currentLocal() (*sdp.SessionDescription, error) {
	var locals []jsep.Local[*connection]
	for _, conn := range c.conns {
		text := textOf(conn.pc.CurrentLocalDescription())
		if text == "" {
			continue
		}
		o := conn.wireOptions()
		o.Setup = conn.setup
		d, err := jsep.ToWire(text, o)
		if err != nil {
			return nil, err
		}
		locals = append(locals, jsep.Local[*connection]{Transport: conn, SDP: d})
	}
	d, err := c.merge(locals)
	if err == nil && d == nil {
		err = errors.New("no description of ours is in force")
	}
	return d, err
}

// textOf returns the text of a description, "" for none.
func textOf(d *webrtc.SessionDescription) string {
	if d == nil {
		return ""
	}
	return d.SDP
}

// startOver replaces the connection of our first offer, which is rolled back. Candidates that
// came are of the offer that is about to be applied.
func (c *Call) startOver() error {
	conn, err := newConnection(&c.cfg, c.box)
	if err != nil {
		return err
	}
	c.text = textChannels{waiting: c.text.waiting}
	c.layout.Reset()
	c.replace([]*connection{conn})
	for _, w := range c.requested {
		conn.openWanted(w)
	}
	return nil
}

// replace puts other connections in place of those that there are.
func (c *Call) replace(conns []*connection) {
	old := c.conns
	conns[0].progress.remote = old[0].progress.remote
	conns[0].candidates.AddRemoteOf(old[0].candidates)
	c.conns, c.reportedState = conns, webrtc.PeerConnectionStateNew
	c.mu.Lock()
	c.live = slices.Clone(conns)
	c.mu.Unlock()
	for _, conn := range old {
		conn.close()
	}
}

// startClock starts the clock of the call.
func (c *Call) startClock() {
	if c.started.IsZero() {
		c.started = time.Now()
	}
}

// signalTimeout bounds how long the call waits for its Signaler to queue a message.
const signalTimeout = 10 * time.Second

// signal sends a message by the Signaler.
func (c *Call) signal(ctx context.Context, send func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, signalTimeout)
	defer cancel()
	return send(ctx)
}

// sent returns the error of sending a message. A call that is up goes on without its signaling.
func (c *Call) sent(err error) error {
	switch {
	case err == nil:
		return nil
	case c.established:
		c.cfg.OnEvent(Warned{fmt.Sprintf("a message to the peer was lost: %v", err)})
		return nil
	}
	return &Error{Signaling, err}
}

// maxCandidates bounds the remote candidates of one ICE session.
const maxCandidates = 500

// remoteCandidates are the candidates of the peer.
type remoteCandidates struct {
	early   []webrtc.ICECandidateInit // that came before any description
	count   int                       // in this ICE session
	dropped bool                      // some were, and that was reported
	ended   bool                      // the peer sends end-of-candidates
}

// restart notes that a new ICE session begins.
func (r *remoteCandidates) restart() {
	r.count, r.dropped = len(r.early), false
}

// remoteCandidate takes a candidate of the peer; the error says why it is dropped.
func (c *Call) remoteCandidate(init webrtc.ICECandidateInit) error {
	if strings.TrimSpace(init.Candidate) == "" { // RFC 8838 section 13
		c.candidates.ended = true
		if c.conns[0].remoteSet {
			init.Candidate = ""
			c.addCandidate(init)
		}
		return nil
	}
	// libdatachannel passes on the whole line of the description, which browsers accept as well.
	init.Candidate = strings.TrimPrefix(init.Candidate, "a=")
	cand, err := icenet.ParseCandidate(init.Candidate)
	if err != nil {
		return err
	}
	if d := c.negotiator.deferred; d != nil && d.Owns(init) && len(d.candidates) < maxCandidates {
		d.candidates = append(d.candidates, init)
		return nil
	}
	if c.candidates.count++; c.candidates.count > maxCandidates {
		if !c.candidates.dropped {
			c.candidates.dropped = true
			c.cfg.OnEvent(Warned{fmt.Sprintf("the peer has sent more than %d candidates, the others are dropped", maxCandidates)})
		}
		return fmt.Errorf("got more than %d", maxCandidates)
	}
	found := candidateEvent(true, cand)
	conn := c.connectionFor(init)
	conn.progress.remote[found.Type]++
	conn.candidates.AddRemote(cand)
	c.cfg.OnEvent(found)
	if !c.conns[0].remoteSet {
		c.candidates.early = append(c.candidates.early, init)
		return nil
	}
	c.addCandidate(init)
	return nil
}

func (c *Call) addCandidate(init webrtc.ICECandidateInit) {
	if err := c.connectionFor(init).pc.AddICECandidate(init); err != nil {
		c.cfg.Logger.Debug("candidate refused", "error", err)
	}
}

// sendCandidate sends a candidate of ours, or end-of-candidates for nil.
func (c *Call) sendCandidate(ctx context.Context, conn *connection, cand *webrtc.ICECandidate) error {
	var init webrtc.ICECandidateInit
	switch {
	case cand == nil:
		c.cfg.OnEvent(GatheringComplete{})
		// Peers written to the original wire may fail on a candidate without a line.
		if conn.answerHeld || !c.negotiator.withParley() && !c.candidates.ended {
			return nil
		}
	case conn.redundant(cand):
		return nil
	default:
		found := iceCandidateEvent(false, cand)
		conn.candidates.Add(false, cand)
		conn.progress.local[found.Type]++
		c.cfg.OnEvent(found)
		switch {
		case conn.answerHeld && conn.holdExpired:
			return c.negotiator.sendHeldAnswer(ctx, conn) // this is its first candidate
		case conn.answerHeld:
			return nil // it will be in the answer
		case conn.holdExpired && c.candidates.count == 0:
			return nil // the peer, which has sent no candidate either, does not trickle
		}
		init = cand.ToJSON()
	}
	if s, ok := jsep.FirstActive(conn.sections); ok {
		index := uint16(s.Index)
		init.SDPMLineIndex, init.SDPMid = &index, &s.Mid
	}
	return c.sent(c.signal(ctx, func(ctx context.Context) error { return c.cfg.Signaler.Candidate(ctx, init) }))
}
