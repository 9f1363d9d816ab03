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

// Changes of a call that is up. Each is told by done, nil for nobody, once it
// has come about at both ends, or why it has not; done is called once, from the
// goroutine of Run.

// AddTrack sends one more track. It takes the place of one that was removed, or
// a section of its own.
func (c *Call) AddTrack(t webrtc.TrackLocal, done func(error)) {
	c.change(done, func() (undo, error) {
		return func() { c.drop(t) }, c.addTrack(t)
	})
}

// RemoveTrack sends a track no longer.
func (c *Call) RemoveTrack(t webrtc.TrackLocal, done func(error)) {
	c.change(done, func() (undo, error) {
		conn, out, err := c.place(t)
		if err != nil {
			return nil, err
		}
		return func() { conn.put(out, t) }, conn.exchange(out, nil)
	})
}

// ReplaceTrack sends a track in place of another one: at once and unnoticed if
// it has the same codec, else by a negotiation.
func (c *Call) ReplaceTrack(old, new webrtc.TrackLocal, done func(error)) {
	c.change(done, func() (undo, error) {
		conn, out, err := c.place(old)
		switch {
		case err != nil:
			return nil, err
		case old.Kind() != new.Kind():
			return nil, fmt.Errorf("%s cannot take the place of %s", new.Kind(), old.Kind())
		case out.CanReplace(new):
			return nil, conn.exchange(out, new)
		}
		muted := out.Muted()
		if err := conn.exchange(out, nil); err != nil {
			return nil, err
		}
		back := func() { c.drop(new); conn.put(out, old) }
		if err := c.addTrack(new); err != nil {
			back()
			return nil, err
		}
		if _, in, err := c.place(new); err == nil {
			in.SetMuted(muted) // it is the kind that was muted, not the source
		}
		return back, nil
	})
}

// Mute makes a track silent, or lets it be heard again: sound goes on as
// silence, a picture stands still. Before the call is up it holds from the first
// packet on.
func (c *Call) Mute(t webrtc.TrackLocal, muted bool, done func(error)) {
	c.wantChange(done, changeWanted{before: isMade, make: func() (undo, error) {
		_, out, err := c.place(t)
		switch {
		case err == nil:
			out.SetMuted(muted)
		case c.up || !slices.Contains(c.cfg.Tracks, t):
			return nil, err
		}
		if !c.up { // and may get other connections yet
			if c.muted == nil {
				c.muted = map[webrtc.TrackLocal]bool{}
			}
			c.muted[t] = muted
		}
		return nil, nil
	}})
}

// muteAgain is for the tracks of a connection that the call did not have when they were muted.
func (c *Call) muteAgain() {
	for t, muted := range c.muted {
		if _, out, err := c.place(t); err == nil {
			out.SetMuted(muted)
		}
	}
}

// PauseTrack signals that a track has nothing to send for now, because its device
// is gone, or that it goes on: the direction of its m-section changes, which mutes and
// unmutes the track of the peer (W3C WebRTC §5.3, MediaStreamTrack.muted). The
// m-section stays. Before the call is up it waits for that.
func (c *Call) PauseTrack(t webrtc.TrackLocal, paused bool, done func(error)) {
	c.wantChange(done, changeWanted{before: isPostponed, make: func() (undo, error) {
		_, out, err := c.place(t)
		switch {
		case err != nil:
			return nil, err
		case out.SetSourcePaused(paused) == paused:
			return nil, nil
		}
		return func() { out.SetSourcePaused(true) }, nil // as with Hold
	}})
}

// Hold stops media in both directions and tells the other side so, or resumes.
func (c *Call) Hold(hold bool, done func(error)) {
	c.change(done, func() (undo, error) {
		if c.conns[0].onHold == hold {
			return nil, nil
		}
		for _, conn := range c.conns {
			conn.hold(hold)
		}
		return func() {
			for _, conn := range c.conns { // no answer may take what is on hold, so that is how it stays, refused or not
				conn.onHold = true
			}
		}, nil
	})
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

// Restart is RestartICE, and says when the other side has agreed.
func (c *Call) Restart(done func(error)) {
	c.change(done, func() (undo, error) {
		c.restart = true
		return func() {}, nil
	})
}

// undo takes a change back that the other side has refused; nil, if it need not be
// negotiated.
type undo func()

// changeWanted is posted by the methods above.
type changeWanted struct {
	make   func() (undo, error)
	before beforeUp
	*promise
}

// beforeUp is what becomes of a change that is wanted before the call is up.
type beforeUp int

const (
	isRefused   beforeUp = iota
	isPostponed          // until it is
	isMade
)

// promise is what is told of a change, once.
type promise struct {
	done func(error)
	undo undo
}

func (c *Call) change(done func(error), make func() (undo, error)) {
	c.wantChange(done, changeWanted{make: make})
}

func (c *Call) wantChange(done func(error), w changeWanted) {
	if done == nil {
		done = func(error) {}
	}
	w.promise = &promise{done: done}
	c.mu.Lock()
	over := c.over
	if !over {
		c.promises[w.promise] = true
	}
	c.mu.Unlock()
	if over {
		done(errOver)
		return
	}
	c.box.post(w)
}

// keep tells how a change ended.
func (c *Call) keep(p *promise, err error) {
	c.mu.Lock()
	open := c.promises[p]
	delete(c.promises, p)
	c.mu.Unlock()
	if open {
		p.done(err)
	}
}

// Why a change is not made.
var (
	errOver       = errors.New("the call is over")
	errNotUp      = errors.New("the call is not connected yet")
	errNotBundled = errors.New("the other side keeps sound, picture and data on connections of their own (no BUNDLE), and makes the " +
		"offers of this call; have it add what is wanted, or call anew with it")
	errNotSent    = errors.New("there is no such track in the call")
	errUnanswered = errors.New("the other side gives no answer; is its signaling still up")
)

// changed makes a change, and has it negotiated.
func (c *Call) changed(ctx context.Context, w changeWanted) error {
	switch {
	case !c.up && w.before == isRefused:
		c.keep(w.promise, errNotUp)
		return nil
	case !c.up && w.before == isPostponed:
		c.postponed = append(c.postponed, w)
		return nil
	}
	undo, err := w.make()
	if err != nil || undo == nil {
		c.keep(w.promise, err)
		return nil
	}
	w.undo = undo
	c.asked = append(c.asked, w.promise)
	return c.mildly(c.negotiate(ctx, wantOffer, nil))
}

// catchUp makes the changes that waited for the call to be up.
func (c *Call) catchUp(ctx context.Context) error {
	waited := c.postponed
	c.postponed, c.muted = nil, nil
	for _, w := range waited {
		if err := c.changed(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// mildly takes an error that need not end a call that is up.
func (c *Call) mildly(err error) error {
	var refused *Error
	if errors.As(err, &refused) && refused.Stage == Negotiation && c.up {
		c.cfg.OnEvent(Warned{fmt.Sprintf("a change was not negotiated: %v", err)})
		return nil
	}
	return err
}

// settle tells those whose change was in the offer that is over now.
func (c *Call) settle(err error) {
	told := c.underWay
	c.underWay = nil
	for _, p := range told {
		c.keep(p, err)
	}
}

// abandon tells all that nothing will be changed any more.
func (c *Call) abandon() {
	c.mu.Lock()
	left := c.promises
	c.over, c.promises = true, nil
	c.mu.Unlock()
	for p := range left {
		p.done(errOver)
	}
}

// place is where a track of ours is sent.
func (c *Call) place(t webrtc.TrackLocal) (*connection, *outStream, error) {
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
// as a new one. Who asks is in need of a section that the other side offers: one
// that it has offered so far, or a new one.
func (c *connection) addTrack(cfg *Config, t webrtc.TrackLocal, asks bool) error {
	if out := c.vacated(t); out != nil {
		out.SetMuted(false)
		return c.exchange(out, t)
	}
	send := c.send
	if asks && !c.hasRoom(t.Kind(), c.theirs) {
		send = func(t webrtc.TrackLocal) error { return c.sendBy(t, c.newSection) }
	}
	if err := send(t); err != nil {
		return err
	}
	return c.preferCodecs(cfg.VideoCodecs)
}

// isClosed tells if the other side has closed a section (port 0), for good.
func (c *connection) isClosed(mid string) bool {
	return slices.ContainsFunc(c.theirs, func(s jsep.Section) bool { return s.Mid == mid && s.Rejected })
}

// vacated is the place of a track that was removed and into which this one fits;
// nil if there is none.
func (c *connection) vacated(t webrtc.TrackLocal) *outStream {
	sent, _ := c.streams.all(c.pc)
	slices.SortStableFunc(sent, func(a, b outStream) int { return strings.Compare(b.mid, a.mid) }) // without a section last
	for _, out := range sent {
		if out.Kind() == t.Kind() && out.Local() == nil && out.CanReplace(t) && !c.isClosed(out.mid) {
			return &out
		}
	}
	return nil
}

// rehouse moves the tracks that wait for a section of their own into those of an
// offer that have room for them after all.
func (c *connection) rehouse(d *jsep.Description) error {
	sent, _ := c.streams.all(c.pc)
	for _, out := range sent {
		t := out.Local()
		if out.mid != "" || t == nil || !c.hasRoom(out.Kind(), d.Sections) {
			continue
		}
		if err := c.exchange(&out, nil); err != nil {
			return err
		}
		if err := c.send(t); err != nil {
			return err
		}
	}
	return nil
}

// hasRoom tells if the other side would take a kind in a section that we do not
// use.
func (c *connection) hasRoom(kind webrtc.RTPCodecType, theirs []jsep.Section) bool {
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

// drop sends a track no longer, if it is sent.
func (c *Call) drop(t webrtc.TrackLocal) {
	if conn, out, err := c.place(t); err == nil {
		conn.put(out, nil)
	}
}

// put is exchange for what cannot fail, as it was so before.
func (c *connection) put(out *outStream, t webrtc.TrackLocal) {
	if err := c.exchange(out, t); err != nil {
		c.logs.log.Debug("track not exchanged", "error", err)
	}
}

// exchange puts a track, or none, in place of the one that is sent.
func (c *connection) exchange(out *outStream, t webrtc.TrackLocal) error {
	if err := out.Replace(t); err != nil {
		return err
	}
	c.bw.ReplaceTrack(out.rate, t)
	return nil
}

// replaced reports whether the peer has put another section in the place of one that was rejected.
func (c *connection) replaced(mid string) bool {
	return c.described[mid] && !slices.ContainsFunc(c.theirs, func(s jsep.Section) bool { return s.Mid == mid })
}

// meant is our description as we mean it: Pion's, less what was removed or paused, or is on hold.
func (c *connection) meant() jsep.WireOptions {
	o := jsep.WireOptions{
		OnHold: c.onHold, DataMid: c.wireMid, Synthetic: &c.synthetic,
		Paused: map[string]bool{}, Removed: map[string]bool{}, Hidden: map[string]bool{},
	}
	for _, t := range c.pc.GetTransceivers() {
		if t.Mid() == "" {
			continue
		}
		out := c.localTrackOf(t)
		o.Hidden[t.Mid()] = c.phantom(t) || c.replaced(t.Mid())
		o.Removed[t.Mid()] = out != nil && out.Local() == nil
		o.Paused[t.Mid()] = out != nil && out.SourcePaused()
	}
	return o
}
