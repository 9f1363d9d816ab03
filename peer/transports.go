package peer

import (
	"fmt"
	"slices"
	"time"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"parley/peer/internal/jsep"
)

// transports are the connections of a call: one, or with a description without BUNDLE one for each
// transport (see jsep.Layout). They are used by the goroutine of Run.
type transports struct {
	cfg   *callConfig
	box   *mailbox
	stats *statsCollector

	conns       []*connection
	layout      jsep.Layout[*connection]
	made        int                        // number of connections made
	started     time.Time                  // when the first offer was sent or received
	reported    webrtc.PeerConnectionState // state reported last
	established bool                       // the call was connected once
}

// part is the part of a description for one transport, with its connection, or nil for one that is
// not made yet.
type part = jsep.Part[*connection]

// add adds a connection.
func (t *transports) add() (*connection, error) {
	conn, err := newConnection(t.cfg, t.box, t.layout.HeaderExtensions())
	if err != nil {
		return nil, err
	}
	conn.index = t.made
	t.made++
	t.set(append(t.conns, conn))
	return conn, nil
}

// addRemote adds the connection of a part that the peer has added.
func (t *transports) addRemote(p *part) (err error) {
	held := t.established && t.conns[0].senders.onHold
	if p.Transport, err = t.add(); err == nil {
		p.Transport.senders.onHold = held
	}
	return err
}

// addLocal adds a connection for an m-section of ours to a call that is connected.
func (t *transports) addLocal() (*connection, error) {
	conn, err := t.add()
	if err == nil {
		conn.senders.onHold = t.conns[0].senders.onHold
	}
	return conn, err
}

// set sets the connections of the call.
func (t *transports) set(conns []*connection) {
	t.conns = conns
	t.stats.setLive(conns)
}

// replace closes the connections and uses others in their place.
func (t *transports) replace(conns []*connection) {
	old := t.conns
	conns[0].progress.remote = old[0].progress.remote
	conns[0].stats.candidates.AddRemoteOf(old[0].stats.candidates)
	t.reported = webrtc.PeerConnectionStateNew
	t.set(conns)
	for _, conn := range old {
		conn.close()
	}
}

// closeRejected closes the connections whose m-sections are all rejected in a description that is
// about to be applied, unless that is all of them. It returns the other parts.
func (t *transports) closeRejected(parts []part) []part {
	left := slices.DeleteFunc(slices.Clone(parts), func(p part) bool { return p.Rejected() })
	if len(left) == 0 {
		return parts
	}
	for _, p := range parts {
		if p.Rejected() {
			t.close(p.Transport, "the peer has rejected its m-section")
		}
	}
	return left
}

// close closes one of several connections, and reports why for its tracks.
func (t *transports) close(conn *connection, why string) {
	t.set(slices.DeleteFunc(t.conns, func(have *connection) bool { return have == conn }))
	conn.close()
	t.layout.Release(conn)
	sent, _ := conn.streams.all(conn.pc)
	for _, out := range sent {
		if local := out.Local(); local != nil {
			t.cfg.OnEvent(TrackRejected{local, why})
		}
	}
}

// startClock starts the clock of the call.
func (t *transports) startClock() {
	if t.started.IsZero() {
		t.started = time.Now()
	}
}

// state returns the state of the call, computed from those of its connections as W3C WebRTC section
// 4.3.3 computes the state of a connection from those of its transports. A connection that was
// added to a connected call counts once it has been connected, and so does one that nothing uses:
// webrtcbin leaves those without DTLS.
func (t *transports) state() webrtc.PeerConnectionState {
	count, all := map[webrtc.PeerConnectionState]int{}, 0
	for _, conn := range t.conns {
		if len(t.conns) == 1 || conn.progress.wasConnected || !t.established && !conn.remote.isUnused() {
			count[conn.state]++
			all++
		}
	}
	for _, s := range []webrtc.PeerConnectionState{
		webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed, webrtc.PeerConnectionStateDisconnected,
	} {
		if count[s] > 0 {
			return s
		}
	}
	switch {
	case count[webrtc.PeerConnectionStateConnected] == all:
		return webrtc.PeerConnectionStateConnected
	case count[webrtc.PeerConnectionStateNew] == all:
		return webrtc.PeerConnectionStateNew
	}
	return webrtc.PeerConnectionStateConnecting
}

// connectionFor returns the connection that a candidate of the peer is for.
func (t *transports) connectionFor(init webrtc.ICECandidateInit) *connection {
	for _, conn := range t.conns {
		for _, s := range conn.sections {
			if init.SDPMid != nil && *init.SDPMid != "" {
				if s.Mid == *init.SDPMid {
					return conn
				}
			} else if init.SDPMLineIndex != nil && s.Index == int(*init.SDPMLineIndex) {
				return conn
			}
		}
	}
	return t.conns[0]
}

// assign divides a description into parts for the connections of the call.
func (t *transports) assign(d *jsep.Description, answer bool) ([]part, error) {
	first := !t.conns[0].remoteSet
	transports := d.Transports()
	switch {
	case t.layout.Unbundled, !first && !answer && len(transports) > 1:
		return t.layout.Assign(d)
	case first:
		parts := make([]part, len(transports))
		for i, sections := range transports {
			parts[i].Description = d.Part(sections)
		}
		parts[0].Transport = t.conns[0]
		return parts, nil
	}
	return []part{{Description: d.Whole(), Transport: t.conns[0]}}, nil
}

// mergeDescriptions returns the description of the call, merged from those that describe returns
// for the connections. describe may return nil for a connection without one.
func (t *transports) mergeDescriptions(describe func(*connection) (*sdp.SessionDescription, error)) (string, error) {
	var locals []jsep.Local[*connection]
	for _, conn := range t.conns {
		d, err := describe(conn)
		switch {
		case err != nil:
			return "", err
		case d != nil:
			locals = append(locals, jsep.Local[*connection]{Transport: conn, SDP: d})
		}
	}
	d, err := t.merge(locals)
	if d == nil || err != nil {
		return "", err
	}
	return jsep.Marshal(d)
}

// merge returns one description of several; nil if there is none.
func (t *transports) merge(locals []jsep.Local[*connection]) (*sdp.SessionDescription, error) {
	switch {
	case t.layout.Unbundled:
		d, err := t.layout.Merge(locals)
		for _, conn := range t.conns {
			for i := range conn.sections {
				if n := t.layout.Index(conn.sections[i].Mid); n >= 0 {
					conn.sections[i].Index = n
				}
			}
		}
		return d, err
	case len(locals) > 0:
		t.layout.Complete(locals[0].SDP)
		return locals[0].SDP, nil
	}
	return nil, nil
}

// freeMid returns a mid that no m-section has.
func (t *transports) freeMid(prefix string) string {
	for n := 1; ; n++ {
		mid := fmt.Sprint(prefix, n)
		taken := func(s jsep.Section) bool { return s.Mid == mid }
		if t.layout.Index(mid) < 0 &&
			!slices.ContainsFunc(t.conns, func(conn *connection) bool { return slices.ContainsFunc(conn.sections, taken) }) {
			return mid
		}
	}
}
