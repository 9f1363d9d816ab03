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

// A channelOpener opens the data channels of a call. The goroutine of Run uses it.
type channelOpener struct {
	cfg        *callConfig
	box        *mailbox
	transports *transports
	negotiator *negotiator
	text       *textSender
	stats      *statsCollector

	// requested holds the requests of OpenChannel before the call is connected: a connection that
	// replaces another opens them again.
	requested []*channelRequest
}

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
func (c *connection) newData() *datachannel.Set {
	return datachannel.NewSet(c.pc, datachannel.Config{
		OnOpen:  func(ch *datachannel.Channel) { c.post(channelOpened{ch}) },
		OnClose: func(ch *datachannel.Channel) { c.post(channelClosed{ch}) },
		OnMessage: func(ch *datachannel.Channel, text bool, data []byte) {
			c.postData(messageArrived{ch, text, data})
		},
		Verified: c.cfg.gate.opened,
		Logger:   c.cfg.Logger,
	})
}

// channelRequest is posted by OpenChannel.
type channelRequest struct {
	options datachannel.Options
	settled atomic.Bool     // OpenChannel has its result or has returned
	done    chan openResult // has room for one
}

// settle passes the result to OpenChannel. It reports false if that has returned or has another.
func (w *channelRequest) settle(r openResult) bool {
	if w.settled.Swap(true) {
		return false
	}
	w.done <- r
	return true
}

// openResult is the result of OpenChannel.
type openResult struct {
	channel *datachannel.Channel
	err     error
}

// OpenChannel opens a data channel and waits until it is open, no longer than ctx. The
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

// openConfigured opens the channels of the config on a connection. Text is sent on the first of
// them that is not detached.
func (o *channelOpener) openConfigured(conn *connection, answering bool) error {
	for _, options := range o.cfg.Channels {
		if !options.Detached && (!answering || options.Negotiated) {
			o.text.label, o.text.named = options.Label, true
			break
		}
	}
	return conn.openChannels(o.cfg.Channels, answering)
}

// open opens a channel for OpenChannel.
func (o *channelOpener) open(ctx context.Context, w *channelRequest) error {
	if w.settled.Load() {
		return nil // OpenChannel has returned
	}
	conn, err := o.dataConnection()
	if err == nil && o.cfg.NoRenegotiation && !conn.hasData() {
		err = errOneOffer
	}
	if err != nil {
		w.settle(openResult{err: err})
		return nil
	}
	if !conn.openWanted(w) {
		return nil
	}
	if !o.transports.established {
		o.requested = append(o.requested, w)
	}
	d := conn.pc.LocalDescription()
	if d == nil && conn != o.transports.conns[0] || d != nil && !conn.hasData() {
		return o.negotiator.tolerate(o.negotiator.needed(ctx)) // the first channel of the call
	}
	return nil
}

// hasData reports whether our current description has an m-section for data channels.
func (c *connection) hasData() bool {
	return strings.Contains(textOf(c.pc.LocalDescription()), "m=application")
}

// dataConnection returns the connection for data channels, which the call need not have yet.
func (o *channelOpener) dataConnection() (*connection, error) {
	data := func(s jsep.Section) bool { return s.Data }
	for _, conn := range o.transports.conns {
		if !o.transports.layout.Unbundled || slices.ContainsFunc(conn.sections, data) || slices.ContainsFunc(conn.remote.sections, data) {
			return conn, nil
		}
	}
	conn, err := o.transports.addLocal()
	if err == nil {
		conn.dataMid = o.transports.freeMid("d")
		conn.sections = []Section{{Data: true, Mid: conn.dataMid}}
	}
	return conn, err
}

// opened handles a data channel that was opened.
func (o *channelOpener) opened(conn *connection, ch *datachannel.Channel) {
	o.stats.opened(ch)
	o.cfg.OnEvent(ChannelOpened{ch})
	conn.data.StartReading(ch)
	if ch.Detached() {
		return
	}
	if o.text.opened(ch, textChannel{ch.Label(), ch.OpenedByPeer(), ch.Negotiated()}) {
		time.AfterFunc(peerChannelGrace, func() { o.box.post(peerChannelGraceOver{}) })
	}
	o.text.send()
}

// retryOpening is the time until a channel is opened again for which there was no ID.
const retryOpening = 100 * time.Millisecond

// openWanted opens a channel for OpenChannel. It reports false if that fails or will be tried
// again.
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

// openChannels opens channels. The answerer opens only the negotiated ones.
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
