package peer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pion/webrtc/v4"

	"parley/peer/internal/jsep"
)

// Changes of a call that is up. done, nil for none, is called once, from the goroutine of Run: with
// nil once the change has come about at both ends, else with the reason why it has not.

// AddTrack sends one more track. It takes the place of one that was removed, or
// a section of its own.
func (c *Call) AddTrack(t webrtc.TrackLocal, done func(error)) {
	c.request(&change{done: done, again: true, make: func() (func(), error) {
		return func() { c.undoAdd(t) }, c.addTrack(t)
	}})
}

// RemoveTrack stops sending a track.
func (c *Call) RemoveTrack(t webrtc.TrackLocal, done func(error)) {
	c.request(&change{done: done, make: func() (func(), error) {
		conn, out, err := c.findTrack(t)
		if err != nil {
			return nil, err
		}
		return func() { conn.restoreTrack(out, t) }, conn.replaceTrack(out, nil)
	}})
}

// ReplaceTrack sends a track in place of another one: at once and unnoticed if
// it has the same codec, else by a negotiation.
func (c *Call) ReplaceTrack(old, new webrtc.TrackLocal, done func(error)) {
	c.request(&change{done: done, again: true, make: func() (func(), error) {
		conn, out, err := c.findTrack(old)
		switch {
		case err != nil:
			return nil, err
		case old.Kind() != new.Kind():
			return nil, fmt.Errorf("invalid track: %s cannot replace %s", new.Kind(), old.Kind())
		case out.CanReplace(new):
			return nil, conn.replaceTrack(out, new)
		}
		muted := out.Muted()
		if err := conn.replaceTrack(out, nil); err != nil {
			return nil, err
		}
		back := func() { c.undoAdd(new); conn.restoreTrack(out, old) }
		if err := c.addTrack(new); err != nil {
			back()
			return nil, err
		}
		if _, in, err := c.findTrack(new); err == nil {
			in.SetMuted(muted) // it is the kind that was muted, not the source
		}
		return back, nil
	}})
}

// Mute makes a track silent, or lets it be heard again: audio goes on as silence, video stands still.
// Before the call is up it holds from the first packet on.
func (c *Call) Mute(t webrtc.TrackLocal, muted bool, done func(error)) {
	c.request(&change{done: done, before: madeBefore, make: func() (func(), error) {
		_, out, err := c.findTrack(t)
		switch {
		case err == nil:
			out.SetMuted(muted)
		case c.established || !slices.Contains(c.cfg.Media.Tracks, t):
			return nil, err
		}
		if !c.established { // and may get other connections yet
			if c.muted == nil {
				c.muted = map[webrtc.TrackLocal]bool{}
			}
			c.muted[t] = muted
		}
		return nil, nil
	}})
}

// restoreMuted is for the tracks of a connection that the call did not have when they were muted.
func (c *Call) restoreMuted() {
	for t, muted := range c.muted {
		if _, out, err := c.findTrack(t); err == nil {
			out.SetMuted(muted)
		}
	}
}

// PauseTrack announces that a track has nothing to send for now, because its device is gone, or that
// it goes on: the direction of its m-section changes, which mutes and unmutes the track at the peer
// (W3C WebRTC section 5.3, MediaStreamTrack.muted). The m-section stays. Before the call is up the
// change waits for that.
func (c *Call) PauseTrack(t webrtc.TrackLocal, paused bool, done func(error)) {
	c.request(&change{done: done, before: postponedBefore, make: func() (func(), error) {
		_, out, err := c.findTrack(t)
		switch {
		case err != nil:
			return nil, err
		case out.SetSourcePaused(paused) == paused:
			return nil, nil
		}
		return func() { out.SetSourcePaused(true) }, nil // as with Hold
	}})
}

// Hold stops media in both directions and announces that, or resumes.
func (c *Call) Hold(hold bool, done func(error)) {
	c.request(&change{done: done, make: func() (func(), error) {
		if c.conns[0].onHold == hold {
			return nil, nil
		}
		for _, conn := range c.conns {
			conn.hold(hold)
		}
		return func() {
			for _, conn := range c.conns { // media stay on hold, whether the peer has rejected that or the end of it
				conn.onHold = true
			}
		}, nil
	}})
}

// hold stops media at once; an answer lets them go on.
func (c *connection) hold(hold bool) {
	c.onHold = hold
	sent, _ := c.streams.all(c.pc)
	for _, out := range sent {
		if hold {
			out.SetPaused(true)
		}
	}
}

// Restart is RestartICE, and reports when the peer has agreed.
func (c *Call) Restart(done func(error)) {
	c.request(&change{done: done, make: func() (func(), error) {
		c.negotiator.restart = true
		return func() {}, nil
	}})
}

// request hands a change to the goroutine of Run.
func (c *Call) request(ch *change) {
	if !c.changes.add(ch) {
		ch.done(errOver)
		return
	}
	c.box.post(ch)
}

// makeChange makes a change, and has it negotiated.
func (c *Call) makeChange(ctx context.Context, ch *change) error {
	switch {
	case !c.established && ch.before == rejectedBefore:
		c.changes.resolve(ch, errNotUp)
		return nil
	case !c.established && ch.before == postponedBefore:
		c.changes.postponed = append(c.changes.postponed, ch)
		return nil
	}
	// Transceivers are not touched while an offer is out that describes them.
	if !ch.again || c.negotiator.state.State == jsep.Stable {
		undo, err := ch.make()
		if err != nil || undo == nil {
			c.changes.resolve(ch, err)
			return nil
		}
		ch.undo = undo
	}
	c.changes.queued = append(c.changes.queued, ch)
	return c.tolerate(c.negotiator.needed(ctx))
}

// makePostponed makes the changes that waited for the call to be up.
func (c *Call) makePostponed(ctx context.Context) error {
	postponed := c.changes.postponed
	c.changes.postponed, c.muted = nil, nil
	for _, ch := range postponed {
		if err := c.makeChange(ctx, ch); err != nil {
			return err
		}
	}
	return nil
}

// tolerate reports an error of a negotiation that need not end a call that is up, and returns others.
func (c *Call) tolerate(err error) error {
	var failed *Error
	if errors.As(err, &failed) && failed.Stage == Negotiation && c.established {
		c.cfg.OnEvent(Warned{fmt.Sprintf("a change was not negotiated: %v", err)})
		return nil
	}
	return err
}

// findTrack is where a track of ours is sent.
func (c *Call) findTrack(t webrtc.TrackLocal) (*connection, *outStream, error) {
	for _, conn := range c.conns {
		sent, _ := conn.streams.all(conn.pc)
		for _, out := range sent {
			if t != nil && out.Local() == t {
				return conn, &out, nil
			}
		}
	}
	return nil, nil, errNotSent
}

// addTrack sends a track in the place of one that was removed, if it fits, or
// as a new one.
func (c *connection) addTrack(cfg *Config, t webrtc.TrackLocal) error {
	if out := c.reusableSender(t); out != nil {
		out.SetMuted(false)
		return c.replaceTrack(out, t)
	}
	if err := c.send(t); err != nil {
		return err
	}
	return c.preferCodecs(cfg.Media.VideoCodecs)
}

// isClosed tells if the other side has closed a section (port 0), for good.
func (c *connection) isClosed(mid string) bool {
	return slices.ContainsFunc(c.remoteSections, func(s jsep.Section) bool { return s.Mid == mid && s.Rejected })
}

// reusableSender is the place of a track that was removed and into which this one fits;
// nil if there is none.
func (c *connection) reusableSender(t webrtc.TrackLocal) *outStream {
	sent, _ := c.streams.all(c.pc)
	slices.SortStableFunc(sent, func(a, b outStream) int { return strings.Compare(b.mid, a.mid) }) // without a section last
	for _, out := range sent {
		if out.Kind() == t.Kind() && out.Local() == nil && out.CanReplace(t) && !c.isClosed(out.mid) {
			return &out
		}
	}
	return nil
}

// reassignTracks moves the tracks that wait for a section of their own into those of an
// offer that have room for them after all.
func (c *connection) reassignTracks(d *jsep.Description) error {
	sent, _ := c.streams.all(c.pc)
	for _, out := range sent {
		t := out.Local()
		if out.mid != "" || t == nil || !c.hasFreeSection(out.Kind(), d.Sections) {
			continue
		}
		if err := c.replaceTrack(&out, nil); err != nil {
			return err
		}
		if err := c.send(t); err != nil {
			return err
		}
	}
	return nil
}

// hasFreeSection tells if the other side would take a kind in a section that we do not
// use.
func (c *connection) hasFreeSection(kind webrtc.RTPCodecType, theirs []jsep.Section) bool {
	takes := map[string]bool{}
	for _, s := range theirs {
		takes[s.Mid] = !s.Rejected && s.Receives()
	}
	for _, t := range c.pc.GetTransceivers() {
		if t.Kind() == kind && t.Sender() == nil && takes[t.Mid()] {
			return true
		}
	}
	return false
}

// newSection gives a track a transceiver that no section has yet.
func (c *connection) newSection(t webrtc.TrackLocal) (*webrtc.RTPSender, error) {
	transceiver, err := c.pc.AddTransceiverFromTrack(t)
	if err != nil {
		return nil, err
	}
	return transceiver.Sender(), nil
}

// undoAdd stops sending a track, if it is sent, and closes the connection that was made for it.
func (c *Call) undoAdd(t webrtc.TrackLocal) {
	conn, out, err := c.findTrack(t)
	switch {
	case err != nil:
	case !conn.remoteSet:
		c.closeTransport(conn, "the offer of it was not accepted")
	default:
		conn.restoreTrack(out, nil)
	}
}

// restoreTrack is exchange for what cannot fail, as it was so before.
func (c *connection) restoreTrack(out *outStream, t webrtc.TrackLocal) {
	if err := c.replaceTrack(out, t); err != nil {
		c.logs.log.Debug("track not exchanged", "error", err)
	}
}

// replaceTrack puts a track, or none, in place of the one that is sent.
func (c *connection) replaceTrack(out *outStream, t webrtc.TrackLocal) error {
	if err := out.Replace(t); err != nil {
		return err
	}
	c.bw.ReplaceTrack(out.rate, t)
	return nil
}

// replaced reports whether the peer has put another section in the place of one that was rejected.
func (c *connection) replaced(mid string) bool {
	return c.described[mid] && !slices.ContainsFunc(c.remoteSections, func(s jsep.Section) bool { return s.Mid == mid })
}

// wireOptions returns what our descriptions mean: Pion's, less what was removed or paused, or is on hold.
func (c *connection) wireOptions() jsep.WireOptions {
	o := jsep.WireOptions{
		OnHold: c.onHold, DataMid: c.dataMid, Synthetic: &c.synthetic,
		Paused: map[string]bool{}, Removed: map[string]bool{}, Hidden: map[string]bool{},
	}
	for _, t := range c.pc.GetTransceivers() {
		if t.Mid() == "" {
			continue
		}
		out := c.localTrackOf(t)
		o.Hidden[t.Mid()] = c.isUnsignaled(t) || c.replaced(t.Mid())
		o.Removed[t.Mid()] = out != nil && out.Local() == nil
		o.Paused[t.Mid()] = out != nil && out.SourcePaused()
	}
	return o
}
