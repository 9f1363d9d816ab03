package main

import (
	"context"
	"fmt"

	"github.com/pion/webrtc/v4"

	"parley/media/source"
)

// What is sent in a call changes while it goes on, by the commands of --input.

// kinds are what a call can send one track of.
func kinds() []string { return []string{"audio", "video"} }

// openSource opens what --video or --audio, or a command, names.
func (c *session) openSource(ctx context.Context, kind, spec string) (source.Source, error) {
	if kind == "video" {
		return c.openVideo(ctx, spec)
	}
	return c.openAudio(ctx, spec)
}

// sending is the track that is sent of a kind, nil for none.
func (c *session) sending(kind string) webrtc.TrackLocal {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.onStage == nil {
		c.onStage = map[string]webrtc.TrackLocal{}
		for _, t := range c.tracks() {
			c.onStage[t.Kind().String()] = t
		}
	}
	return c.onStage[kind]
}

// turn makes a change of what is sent of a kind once those before it are done: each builds on what the one before has
// left, and a script need not wait for a reply before it says the next. change calls over once, when it is done.
func (c *session) turn(kind string, change func(over func())) {
	c.mu.Lock()
	if c.turns == nil {
		c.turns = map[string][]func(func()){}
	}
	c.turns[kind] = append(c.turns[kind], change)
	first := len(c.turns[kind]) == 1
	c.mu.Unlock()
	if first {
		change(func() { c.nextTurn(kind) })
	}
}

// nextTurn ends a turn and begins the one after it, on a goroutine of its own: to open a device may take its time.
func (c *session) nextTurn(kind string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turns[kind] = c.turns[kind][1:]
	if len(c.turns[kind]) > 0 {
		change := c.turns[kind][0]
		c.work.Go(func() { change(func() { c.nextTurn(kind) }) })
	}
}

// inTurn is done, and then the turn of a kind is over.
func inTurn(done func(error), over func()) func(error) {
	return func(err error) {
		done(err)
		over()
	}
}

// sends notes what is sent of a kind from now on.
func (c *session) sends(kind string, t webrtc.TrackLocal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onStage[kind] = t
}

// play runs a source until the call is over or stop is called for it.
func (c *session) play(s source.Source) {
	ctx, cancel := context.WithCancel(c.ctx)
	done := make(chan struct{})
	c.mu.Lock()
	if c.playing == nil {
		c.playing = map[webrtc.TrackLocal]func(){}
	}
	c.playing[s] = func() {
		cancel()
		<-done
		_ = s.Close() // a file that was read
	}
	c.mu.Unlock()
	if d, ok := s.(interface{ OnPresence(func(gone bool)) }); ok {
		d.OnPresence(func(gone bool) { c.pauseTrack(s, gone) })
	}
	c.work.Go(func() {
		defer close(done)
		defer cancel()
		if err := s.Run(ctx); err != nil {
			c.fail(err)
		}
	})
}

// pauseTrack signals that a track has nothing to send for now, because its device is gone or muted, or
// that it goes on.
func (c *session) pauseTrack(t webrtc.TrackLocal, gone bool) {
	c.call.PauseTrack(t, gone, func(err error) {
		if err != nil && c.ctx.Err() == nil {
			c.logger.Debug("the other side is not told that a track pauses", "kind", t.Kind(), "gone", gone, "error", err)
		}
	})
}

// stop ends a source that is sent no longer; a mirror just is not asked any more.
func (c *session) stop(t webrtc.TrackLocal) {
	c.mu.Lock()
	end := c.playing[t]
	delete(c.playing, t)
	c.mu.Unlock()
	if end != nil {
		c.work.Go(end) // a device may take its time
	}
}

// add sends one more track.
func (c *session) add(kind, spec string, done func(error)) {
	c.turn(kind, func(over func()) {
		done := inTurn(done, over)
		if c.sending(kind) != nil {
			done(fmt.Errorf("%s is sent already; remove it, or take the command source to exchange it", kind))
			return
		}
		c.put(kind, spec, done, func(s source.Source, then func(error)) { c.call.AddTrack(s, then) })
	})
}

// exchange sends another source in place of the present one.
func (c *session) exchange(kind, spec string, done func(error)) {
	c.turn(kind, func(over func()) {
		done, old := inTurn(done, over), c.sending(kind)
		if old == nil {
			done(fmt.Errorf("no %s is sent; the command add begins it", kind))
			return
		}
		c.put(kind, spec, func(err error) {
			if err == nil {
				c.stop(old)
			}
			done(err)
		}, func(s source.Source, then func(error)) { c.call.ReplaceTrack(old, s, then) })
	})
}

// put opens a source, has it sent by change, and plays it.
func (c *session) put(kind, spec string, done func(error), change func(source.Source, func(error))) {
	s, err := c.openSource(c.ctx, kind, spec)
	if err != nil {
		done(err)
		return
	}
	change(s, func(err error) {
		if err != nil {
			c.work.Go(func() { _ = s.Close() })
			done(err)
			return
		}
		c.sends(kind, s)
		c.play(s)
		done(nil)
	})
}

// remove sends nothing of a kind any more.
func (c *session) remove(kind string, done func(error)) {
	c.turn(kind, func(over func()) {
		done, t := inTurn(done, over), c.sending(kind)
		if t == nil {
			done(fmt.Errorf("no %s is sent", kind))
			return
		}
		c.call.RemoveTrack(t, func(err error) {
			if err == nil {
				c.sends(kind, nil)
				c.stop(t)
			}
			done(err)
		})
	})
}

// allSending are the tracks that are sent of a kind, or of all if it is "".
func (c *session) allSending(kind string) (tracks []webrtc.TrackLocal) {
	for _, k := range kinds() {
		if t := c.sending(k); t != nil && (kind == "" || kind == k) {
			tracks = append(tracks, t)
		}
	}
	return tracks
}

// mute makes what is sent of a kind, or of all if it is "", silent.
func (c *session) mute(kind string, muted bool, done func(error)) {
	if kind != "" {
		c.turn(kind, func(over func()) { c.muteNow(kind, muted, inTurn(done, over)) })
		return
	}
	c.turn("audio", func(audioOver func()) {
		c.turn("video", func(videoOver func()) {
			c.muteNow(kind, muted, inTurn(inTurn(done, videoOver), audioOver))
		})
	})
}

func (c *session) muteNow(kind string, muted bool, done func(error)) {
	tracks := c.allSending(kind)
	if len(tracks) == 0 {
		done(fmt.Errorf("no %s is sent", orAll(kind, "sound or picture")))
		return
	}
	for i, t := range tracks {
		then := done
		if i < len(tracks)-1 {
			then = func(error) {} // the last one tells: they are carried out in order
		}
		c.call.Mute(t, muted, then)
	}
}

func orAll(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
