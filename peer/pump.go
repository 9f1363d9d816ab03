package peer

import (
	"bytes"
	"context"
	"slices"

	"github.com/pion/datachannel"
	"github.com/pion/webrtc/v4"
)

// Posted by the goroutines of a data channel.
type (
	channelOpened  struct{ *Channel }
	channelClosed  struct{ *Channel }
	messageArrived struct {
		channel *Channel
		text    bool
		data    []byte
	}
)

func (c *connection) newChannel(dc *webrtc.DataChannel, byPeer bool) *Channel {
	return &Channel{dc: dc, conn: c, byPeer: byPeer, gone: make(chan struct{})}
}

// watch prepares a channel for use once it opens.
func (c *connection) watch(ch *Channel, opened func(*Channel)) {
	ch.dc.OnOpen(func() {
		raw, err := ch.dc.DetachWithDeadline()
		if err != nil {
			c.logs.log.Debug("data channel lost while it opened", "error", err)
			return
		}
		pions := raw.(*datachannel.DataChannel) // it has more than the interface
		ch.raw = pions
		ch.outgoing.init(pions)
		if !c.keep(ch) {
			return
		}
		if opened != nil {
			opened(ch)
		}
		if ch.byPeer || ch.taken.Load() || ch.dc.Negotiated() {
			ch.announce() // its owner may send at once (RFC 8832 §6)
			return
		}
		// Who says text on a channel of its own waits until the other side has
		// confirmed it, see talk.go. That takes reading.
		pions.OnOpen(ch.announce)
		c.spawn(ch.pump)
	})
}

// announce posts that the channel is open, once.
func (c *Channel) announce() {
	c.opening.Do(func() { c.conn.post(channelOpened{c}) })
}

// pump posts what comes, until the channel is closed.
func (c *Channel) pump() {
	defer c.end()
	for {
		data, text, err := c.read()
		if err != nil {
			return
		}
		c.announce()
		c.conn.postData(messageArrived{c, text, bytes.Clone(data)})
		c.pace()
	}
}

// told starts the pump of a channel that nobody has taken, after its opening
// was told.
func (c *connection) told(ch *Channel) {
	if !ch.taken.Load() && (ch.byPeer || ch.dc.Negotiated()) {
		c.spawn(ch.pump)
	}
}

// hearRest tells what the other side sent before it left.
func (c *Call) hearRest(ctx context.Context, messages []any) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, conn := range c.conns {
			conn.closeChannels()
			conn.pumps.Wait()
		}
	}()
	for over := false; ; {
		for _, message := range messages {
			if m, ok := message.(posted); ok {
				if e, ok := m.event.(messageArrived); ok {
					_, _ = c.happened(ctx, m.from, e) // never an error
				}
			}
		}
		if over {
			return
		}
		select {
		case <-done:
			over = true
		case <-c.box.ready:
		}
		messages = c.box.take()
	}
}

// keep notes a channel that has to end with the connection; false if that is
// closed already.
func (c *connection) keep(ch *Channel) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.channels = append(c.channels, ch)
	}
	return !c.closed
}

// forget is keep's opposite.
func (c *connection) forget(ch *Channel) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.channels, ch); i >= 0 {
		c.channels = slices.Delete(c.channels, i, i+1)
	}
}

// spawn runs a goroutine that close waits for; false if that is over already.
func (c *connection) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.pumps.Go(f)
	}
	return !c.closed
}

// closeChannels ends every write on a channel, and every read once what has come
// was read.
func (c *connection) closeChannels() {
	c.mu.Lock()
	c.closed = true
	channels := slices.Clone(c.channels)
	c.mu.Unlock()
	for _, ch := range channels {
		ch.end()
		ch.interrupt()
	}
}
