package peer

import (
	"context"
	"fmt"
	"slices"

	"github.com/pion/webrtc/v4"

	"parley/peer/internal/jsep"
)

// The following methods change a call that is connected. They return when the change is in force at
// both peers, with the reason if it is not made, or with the cause of ctx when that ends: then the
// change may still be made. Changes are made in the order in which they are requested. OnEvent must
// not call these methods, because the call does not go on before it returns.

// AddTrack sends a track, in the m-section of one that was removed or in one of its own.
func (c *Call) AddTrack(ctx context.Context, t webrtc.TrackLocal) error {
	return c.change(ctx, c.addTrack(t))
}

func (c *Call) addTrack(t webrtc.TrackLocal) *change {
	return &change{again: true, make: func() (func(), error) {
		if c.cfg.NoRenegotiation {
			return nil, errOneOffer
		}
		return func() { c.tracks.undoAdd(t) }, c.tracks.add(t)
	}}
}

// RemoveTrack stops sending a track.
func (c *Call) RemoveTrack(ctx context.Context, t webrtc.TrackLocal) error {
	return c.change(ctx, c.removeTrack(t))
}

func (c *Call) removeTrack(t webrtc.TrackLocal) *change {
	return &change{make: func() (func(), error) {
		conn, out, err := c.tracks.find(t)
		switch {
		case err != nil:
			return nil, err
		case c.cfg.NoRenegotiation:
			return nil, errOneOffer
		}
		return func() { conn.senders.restoreTrack(out, t) }, conn.senders.replaceTrack(out, nil)
	}}
}

// ReplaceTrack sends a track in place of another one: at once if it has the same codec, else by a
// negotiation.
func (c *Call) ReplaceTrack(ctx context.Context, old, new webrtc.TrackLocal) error {
	return c.change(ctx, c.replaceTrack(old, new))
}

func (c *Call) replaceTrack(old, new webrtc.TrackLocal) *change {
	return &change{again: true, make: func() (func(), error) {
		conn, out, err := c.tracks.find(old)
		switch {
		case err != nil:
			return nil, err
		case old.Kind() != new.Kind():
			return nil, fmt.Errorf("invalid track: %s cannot replace %s", new.Kind(), old.Kind())
		case out.CanReplace(new):
			return nil, conn.senders.replaceTrack(out, new)
		case c.cfg.NoRenegotiation:
			return nil, errOneOffer
		}
		muted := out.Muted()
		if err := conn.senders.replaceTrack(out, nil); err != nil {
			return nil, err
		}
		back := func() { c.tracks.undoAdd(new); conn.senders.restoreTrack(out, old) }
		if err := c.tracks.add(new); err != nil {
			back()
			return nil, err
		}
		if _, in, err := c.tracks.find(new); err == nil {
			in.SetMuted(muted) // the kind is muted, not the source
		}
		return back, nil
	}}
}

// Mute mutes or unmutes a track: muted audio is sent as silence, muted video is not sent. Before
// the call is connected it takes effect from the first packet on.
func (c *Call) Mute(ctx context.Context, t webrtc.TrackLocal, muted bool) error {
	return c.change(ctx, c.muteTrack(t, muted))
}

func (c *Call) muteTrack(t webrtc.TrackLocal, muted bool) *change {
	return &change{before: madeBefore, make: func() (func(), error) {
		_, out, err := c.tracks.find(t)
		switch {
		case err == nil:
			out.SetMuted(muted)
		case c.transports.established || !slices.Contains(c.cfg.Media.Tracks, t):
			return nil, err
		}
		if !c.transports.established { // its connections may be replaced
			if c.tracks.muted == nil {
				c.tracks.muted = map[webrtc.TrackLocal]bool{}
			}
			c.tracks.muted[t] = muted
		}
		return nil, nil
	}}
}

// PauseTrack announces that a track has nothing to send for now, because its device is gone, or
// that it goes on: the direction of its m-section changes, which mutes and unmutes the track at the
// peer (W3C WebRTC section 5.3, MediaStreamTrack.muted). The m-section stays. Before the call is
// connected the change waits for that.
func (c *Call) PauseTrack(ctx context.Context, t webrtc.TrackLocal, paused bool) error {
	return c.change(ctx, c.pauseTrack(t, paused))
}

func (c *Call) pauseTrack(t webrtc.TrackLocal, paused bool) *change {
	return &change{before: postponedBefore, make: func() (func(), error) {
		_, out, err := c.tracks.find(t)
		switch {
		case err != nil:
			return nil, err
		case c.cfg.NoRenegotiation:
			return nil, errOneOffer
		case out.SetSourcePaused(paused) == paused:
			return nil, nil
		}
		return func() { out.SetSourcePaused(true) }, nil // see Hold
	}}
}

// Hold stops media in both directions, or resumes it.
func (c *Call) Hold(ctx context.Context, hold bool) error { return c.change(ctx, c.hold(hold)) }

func (c *Call) hold(hold bool) *change {
	return &change{make: func() (func(), error) {
		switch {
		case c.transports.conns[0].senders.onHold == hold:
			return nil, nil
		case c.cfg.NoRenegotiation:
			return nil, errOneOffer
		}
		for _, conn := range c.transports.conns {
			conn.senders.hold(hold)
		}
		return func() {
			// Media stay on hold, whether the peer has rejected that or the end of it.
			for _, conn := range c.transports.conns {
				conn.senders.onHold = true
			}
		}, nil
	}}
}

// Restart restarts ICE, as RestartICE does, and returns when the peer has answered.
func (c *Call) Restart(ctx context.Context) error { return c.change(ctx, c.restart()) }

func (c *Call) restart() *change {
	return &change{make: func() (func(), error) {
		c.negotiator.restart = true
		return func() {}, nil
	}}
}

// change requests a change and waits for its result.
func (c *Call) change(ctx context.Context, ch *change) error {
	select {
	case err := <-c.request(ch):
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// request hands a change to the goroutine of Run, and returns the channel that gets its result.
func (c *Call) request(ch *change) <-chan error {
	ch.result = make(chan error, 1)
	if c.changes.add(ch) {
		c.box.post(ch)
	} else {
		ch.result <- ErrOver
	}
	return ch.result
}

// localTracks are the tracks that a call sends. They are used by the goroutine of Run.
type localTracks struct {
	cfg        *callConfig
	transports *transports

	muted map[webrtc.TrackLocal]bool // as requested before the call is connected
}

// add sends a track on the connection that has an m-section for it, or on one of its own.
func (l *localTracks) add(t webrtc.TrackLocal) error {
	if !l.transports.layout.Unbundled {
		return l.transports.conns[0].senders.add(t)
	}
	for _, conn := range l.transports.conns {
		if conn.senders.reusableSender(t) != nil || conn.senders.hasFreeSection(t.Kind(), conn.remote.sections) {
			return conn.senders.add(t)
		}
	}
	conn, err := l.transports.addLocal()
	if err != nil {
		return err
	}
	mid := l.transports.freeMid(t.Kind().String()[:1])
	conn.sections = []jsep.Section{{Kind: t.Kind(), Mid: mid}}
	if err := conn.senders.sendAs(mid, t); err != nil {
		l.transports.close(conn, err.Error())
		return err
	}
	return conn.senders.preferCodecs()
}

// find returns the connection that sends a track, and its stream.
func (l *localTracks) find(t webrtc.TrackLocal) (*connection, *outStream, error) {
	for _, conn := range l.transports.conns {
		sent, _ := conn.streams.all(conn.pc)
		for _, out := range sent {
			if t != nil && out.Local() == t {
				return conn, &out, nil
			}
		}
	}
	return nil, nil, errNotSent
}

// undoAdd stops sending a track, if it is sent, and closes a connection that was made for it.
func (l *localTracks) undoAdd(t webrtc.TrackLocal) {
	conn, out, err := l.find(t)
	switch {
	case err != nil:
	case !conn.remoteSet:
		l.transports.close(conn, "its offer was not accepted")
	default:
		conn.senders.restoreTrack(out, nil)
	}
}

// restoreMuted mutes the tracks of connections that were made after Mute.
func (l *localTracks) restoreMuted() {
	for t, muted := range l.muted {
		if _, out, err := l.find(t); err == nil {
			out.SetMuted(muted)
		}
	}
}
