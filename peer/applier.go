package peer

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"parley/peer/internal/jsep"
)

// An applier applies the descriptions of the peer to the connections of a call, and describes the
// connections. The goroutine of Run uses it.
type applier struct {
	cfg          *callConfig
	box          *mailbox
	transports   *transports
	candidates   *candidates
	tracks       *localTracks
	channels     *channelOpener
	text         *textSender
	verification *verification

	current  *jsep.Description             // of the peer, in force
	identity atomic.Pointer[jsep.Identity] // of current; read from any goroutine
}

// prepareFirstOffer adds the tracks and channels of the config to the connection.
func (a *applier) prepareFirstOffer() error {
	conn := a.transports.conns[0]
	if err := conn.senders.offerTracks(); err != nil {
		return err
	}
	a.tracks.restoreMuted()
	return a.channels.openConfigured(conn, false)
}

// acceptable reports what is wrong with a description, before it changes anything.
func (a *applier) acceptable(d *jsep.Description, answer bool) ([]part, error) {
	parts, err := a.transports.assign(d, answer)
	if err == nil {
		err = a.verification.verify(d, parts)
	}
	return parts, err
}

// acceptAnswer applies our offer and the peer's answer.
func (a *applier) acceptAnswer(d *jsep.Description) error {
	parts, err := a.acceptable(d, true)
	if err != nil {
		return err
	}
	parts = a.transports.closeRejected(parts)
	for _, p := range parts {
		if p.Transport == nil {
			return errors.New("invalid answer: has a section that was not offered")
		}
		if err := p.Transport.applyAnswer(p.Description); err != nil {
			return err
		}
	}
	a.tracks.restoreMuted()
	a.remoteApplied(d, parts)
	return nil
}

// acceptOffer applies the peer's offer and our answer, with one connection for each of its
// transports.
func (a *applier) acceptOffer(d *jsep.Description) error {
	parts, err := a.acceptable(d, false)
	if err != nil {
		return err
	}
	a.transports.startClock()
	first := !a.transports.conns[0].remoteSet
	tracks := a.cfg.Media.Tracks
	if first {
		err = a.channels.openConfigured(a.transports.conns[0], true)
	} else {
		tracks = nil // they have m-sections
	}
	if err != nil {
		return err
	}
	parts = a.transports.closeRejected(parts)
	for i := range parts {
		if parts[i].Transport == nil {
			if err := a.transports.addRemote(&parts[i]); err != nil {
				return err
			}
		}
		if tracks, err = parts[i].Transport.applyOffer(parts[i].Description, tracks); err != nil {
			return err
		}
	}
	a.tracks.restoreMuted()
	for _, t := range tracks {
		a.cfg.OnEvent(TrackRejected{t, fmt.Sprintf("the offer has no section for %s", t.Kind())})
	}
	a.remoteApplied(d, parts)
	return nil
}

// isClosed reports whether the peer has closed a connection. The event of that ends the call.
func (a *applier) isClosed() bool {
	return slices.ContainsFunc(a.transports.conns, func(conn *connection) bool {
		return conn.pc.SignalingState() == webrtc.SignalingStateClosed
	})
}

// restoreStable returns the connections to the signaling state stable, after a description that
// Pion could not apply as a whole. Pion has no rollback, but it can answer as much of an offer as
// it has read.
func (a *applier) restoreStable() error {
	for _, conn := range a.transports.conns {
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
func (a *applier) remoteApplied(d *jsep.Description, parts []part) {
	restarted := a.current != nil && jsep.RestartsICE(a.current.SDP(), d.SDP(), !a.transports.layout.Unbundled)
	if restarted || a.current == nil {
		a.candidates.restart()
	}
	a.identity.Store(&d.Identity)
	a.current = d
	a.transports.layout.Record(d, parts)
	for _, p := range parts {
		p.Transport.progress.described(p.Description)
	}
	early := a.candidates.early
	a.candidates.early = nil
	for _, init := range early {
		a.candidates.add(init)
	}
}

// currentLocal returns our description in force as it goes over the wire.
func (a *applier) currentLocal() (*sdp.SessionDescription, error) {
	var locals []jsep.Local[*connection]
	for _, conn := range a.transports.conns {
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
	d, err := a.transports.merge(locals)
	if err == nil && d == nil {
		err = errors.New("no description of ours is in force")
	}
	return d, err
}

// startOver replaces the connection of our first offer, which is rolled back. The candidates that
// have come belong to the offer that is applied next.
func (a *applier) startOver() error {
	conn, err := newConnection(a.cfg, a.box, nil)
	if err != nil {
		return err
	}
	a.text.textChannels = textChannels{waiting: a.text.waiting}
	a.transports.layout.Reset()
	a.transports.replace([]*connection{conn})
	for _, w := range a.channels.requested {
		conn.openWanted(w)
	}
	return nil
}

// splitsTransports reports whether the answer to our first offer splits it into several transports.
func (a *applier) splitsTransports(d *jsep.Description) bool {
	return !a.transports.layout.Unbundled && !a.transports.conns[0].remoteSet && len(d.Transports()) > 1
}

// splitTransports replaces the connection of our first offer by one for each transport of the
// answer.
//
// Our offers are bundled, but an answer need not be (RFC 9143 section 7.3): GStreamer's webrtcbin
// splits the m-sections by default and then expects each on a transport of its own. All would have
// the ICE credentials of our one offer, and Pion keeps SettingEngine credentials, where a restart
// needs new ones (RFC 8839 section 4.4.1.1.1). So such an answer is not applied: each transport
// gets a connection with credentials of its own, and an offer of them all is sent. To the peer that
// is an ICE restart before anything is connected.
func (a *applier) splitTransports(d *jsep.Description) error {
	parts, err := a.acceptable(d, true)
	if err != nil {
		return err
	}
	old := a.transports.conns[0]
	offer, err := jsep.Unmarshal(textOf(old.pc.LocalDescription()))
	if err != nil {
		return err
	}
	a.text.textChannels = textChannels{label: a.text.label, waiting: a.text.waiting}
	a.transports.layout.Continue(offer)
	a.transports.made = 0
	var conns []*connection
	for i, p := range parts {
		conn, err := a.newSplitTransport(old, p.Description)
		if conn != nil {
			conns = append(conns, conn)
		}
		parts[i].Transport = conn
		if err != nil {
			for _, conn := range conns {
				conn.close()
			}
			return err
		}
	}
	a.transports.layout.Record(d, parts)
	a.transports.replace(conns)
	a.tracks.restoreMuted()
	return nil
}

// newSplitTransport returns a connection for one part of the answer.
func (a *applier) newSplitTransport(old *connection, part *jsep.Description) (*connection, error) {
	conn, err := newConnection(a.cfg, a.box, nil)
	if err != nil {
		return nil, err
	}
	conn.sections, conn.index = part.Sections, a.transports.made
	conn.progress.split = true
	a.transports.made++
	for _, s := range part.Sections {
		if s.Data {
			err = a.channels.openConfigured(conn, false)
			for _, w := range a.channels.requested {
				conn.openWanted(w)
			}
		} else {
			err = conn.senders.moveTransceiver(old, s.Mid)
		}
		if err != nil {
			return conn, err
		}
	}
	return conn, conn.senders.preferCodecs()
}
