package peer

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"parley/peer/datachannel"
	"parley/peer/internal/jsep"
)

// Posted by the data channels of a connection.
type (
	channelOpened  struct{ *datachannel.Channel }
	channelClosed  struct{ *datachannel.Channel }
	messageArrived struct {
		channel *datachannel.Channel
		text    bool
		data    []byte
	}
)

// newData returns the data channels of a connection.
func (c *connection) newData(cfg *Config) *datachannel.Set {
	return datachannel.NewSet(c.pc, datachannel.Config{
		OnOpen:  func(ch *datachannel.Channel) { c.post(channelOpened{ch}) },
		OnClose: func(ch *datachannel.Channel) { c.post(channelClosed{ch}) },
		OnMessage: func(ch *datachannel.Channel, text bool, data []byte) {
			c.postData(messageArrived{ch, text, data})
		},
		Verified: cfg.free,
		Logger:   cfg.Logger,
	})
}

// channelRequest is posted by OpenChannel.
type channelRequest struct {
	options datachannel.Options
	settled atomic.Bool     // OpenChannel has its result, or has given up
	done    chan openResult // has room for one
}

// settle hands the result to OpenChannel. It reports false if that has given up, or has another.
func (w *channelRequest) settle(r openResult) bool {
	if w.settled.Swap(true) {
		return false
	}
	w.done <- r
	return true
}

type openResult struct {
	channel *datachannel.Channel
	err     error
}

// OpenChannel opens one more data channel and waits until it can be used, no longer than ctx. The
// caller owns it: Detached is implied. Before the call is connected, it waits for that.
func (c *Call) OpenChannel(ctx context.Context, o datachannel.Options) (*datachannel.Channel, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	o.Detached = true
	w := &channelRequest{options: o, done: make(chan openResult, 1)}
	c.box.post(w)
	err := datachannel.ErrClosed
	select {
	case r := <-w.done:
		return r.channel, r.err
	case <-ctx.Done():
		err = ctx.Err()
	case <-c.box.done:
	}
	if w.settled.Swap(true) {
		r := <-w.done
		return r.channel, r.err
	}
	return nil, err
}

// openRequested opens a channel for OpenChannel.
func (c *Call) openRequested(ctx context.Context, w *channelRequest) error {
	if w.settled.Load() {
		return nil // it has given up
	}
	conn, err := c.dataConnection()
	if err != nil {
		w.settle(openResult{err: err})
		return nil
	}
	if !conn.openWanted(w) {
		return nil
	}
	if !c.established {
		c.requested = append(c.requested, w)
	}
	d := conn.pc.LocalDescription()
	if d == nil && conn != c.conns[0] || d != nil && !strings.Contains(d.SDP, "m=application") {
		return c.tolerate(c.negotiator.needed(ctx)) // the first channel of the call
	}
	return nil
}

// dataConnection is the connection with the data channels, in a call that need
// not have any yet.
func (c *Call) dataConnection() (*connection, error) {
	data := func(s jsep.Section) bool { return s.Data }
	for _, conn := range c.conns {
		if !c.layout.Unbundled || slices.ContainsFunc(conn.sections, data) || slices.ContainsFunc(conn.remoteSections, data) {
			return conn, nil
		}
	}
	conn, err := c.addLocalTransport()
	if err == nil {
		conn.dataMid = c.freeMid("d")
		conn.sections = []Section{{Data: true, Mid: conn.dataMid}}
	}
	return conn, err
}

// retryOpening is the time until a channel is tried again for which there was no ID.
const retryOpening = 100 * time.Millisecond

// openWanted opens a channel for OpenChannel. It reports false if that fails, or is tried again.
func (c *connection) openWanted(w *channelRequest) bool {
	err := c.data.Open(w.options, func(ch *datachannel.Channel) bool { return w.settle(openResult{channel: ch}) })
	switch {
	case errors.Is(err, datachannel.ErrNoID):
		time.AfterFunc(retryOpening, func() { c.box.post(w) })
	case err != nil:
		w.settle(openResult{err: err})
	}
	return err == nil
}

// openChannels opens those of the configuration. The answerer opens only the negotiated ones.
func (c *connection) openChannels(all []datachannel.Options, answering bool) error {
	for _, o := range all {
		if answering && !o.Negotiated {
			continue
		}
		if err := c.data.Open(o, nil); err != nil {
			return err
		}
	}
	return nil
}

// drainMessages reports what the peer sent before it left.
func (c *Call) drainMessages(ctx context.Context, messages []any) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, conn := range c.conns {
			conn.data.Close()
			conn.data.Wait()
		}
	}()
	for over := false; ; {
		for _, message := range messages {
			if m, ok := message.(posted); ok {
				if e, ok := m.event.(messageArrived); ok {
					_, _ = c.handleEvent(ctx, m.from, e) // never an error
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
