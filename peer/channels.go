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

// A channelOpener opens the data channels of a call. It is used by the goroutine of Run.
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

// A textSender sends the lines of Say on a data channel. It is used by the goroutine of Run.
type textSender struct {
	cfg *callConfig
	box *mailbox
	textChannels
}

func (o *channelOpener) opened(conn *connection, ch *datachannel.Channel) {
	o.stats.mu.Lock()
	if o.stats.channels = append(o.stats.channels, ch); len(o.stats.channels) > maxMeasured {
		gone := slices.IndexFunc(o.stats.channels, (*datachannel.Channel).Closed)
		o.stats.channels = slices.Delete(o.stats.channels, max(gone, 0), max(gone, 0)+1)
	}
	o.stats.mu.Unlock()
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

// sendText sends the lines that a channel is ready for.
func (t *textSender) send() {
	if t.cfg.gate.closed.Load() {
		return
	}
	ch, lines := t.due()
	for _, line := range lines {
		if err := ch.Send([]byte(line), true); err != nil {
			t.cfg.OnEvent(TextRejected{line, err})
			continue
		}
		t.cfg.OnEvent(TextSent{ch, line})
	}
}

// openChannels opens the channels of the configuration; text goes by the first
// of them that is reported by events.
func (o *channelOpener) openConfigured(conn *connection, answering bool) error {
	for _, options := range o.cfg.Channels {
		if !options.Detached && (!answering || options.Negotiated) {
			o.text.label, o.text.named = options.Label, true
			break
		}
	}
	return conn.openChannels(o.cfg.Channels, answering)
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
func (o *channelOpener) open(ctx context.Context, w *channelRequest) error {
	if w.settled.Load() {
		return nil // it has given up
	}
	conn, err := o.dataConnection()
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
	if d == nil && conn != o.transports.conns[0] || d != nil && !strings.Contains(d.SDP, "m=application") {
		return o.negotiator.tolerate(o.negotiator.needed(ctx)) // the first channel of the call
	}
	return nil
}

// dataConnection is the connection with the data channels, in a call that need
// not have any yet.
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

// textChannels selects the data channel that our text is sent on. It has no clock and does not use
// Pion: the call reports to it what happens.
//
// The caller opens a channel. Our page and another terminal listen on it. The original text page
// opens a channel of its own with the same label, and listens on that alone, whoever calls. It
// opens it before the call, so both channels open at about the same time. Hence: a channel of the
// peer is preferred; on our own nothing is sent until something was received on it, or the peer has
// had a moment (peerChannelGrace) to open one.
type textChannels struct {
	named   bool                 // we opened a channel for text
	label   string               // of that channel
	own     *datachannel.Channel // open, ours
	theirs  *datachannel.Channel // open, the peer's, with the same label if we have one
	certain bool                 // the peer listens on own
	waiting []string
}

// peerChannelGrace is how long the peer has to open a channel of its own after ours opened. Its
// request to open is sent before it confirms ours.
const peerChannelGrace = 250 * time.Millisecond

// maxWaiting is how many lines wait for a channel.
const maxWaiting = 1024

var errTooManyWait = errors.New("too many lines wait for a data channel")

// textChannel is what textChannels knows of a channel.
type textChannel struct {
	label              string
	byPeer, negotiated bool
}

// opened notes a channel. It reports whether a grace has to be waited for.
func (t *textChannels) opened(ch *datachannel.Channel, is textChannel) (grace bool) {
	fits := !t.named || is.label == t.label
	switch {
	case is.byPeer && t.theirs == nil && fits:
		t.theirs = ch
	case !is.byPeer && t.own == nil && fits:
		t.own = ch
		t.certain = t.certain || is.negotiated // the peer has opened it too
		return !t.certain
	}
	return false
}

func (t *textChannels) closed(ch *datachannel.Channel) {
	switch ch {
	case t.own:
		t.own, t.certain = nil, false
	case t.theirs:
		t.theirs = nil
	}
}

// received notes a message of the peer: a peer that sends on our channel listens on it.
func (t *textChannels) received(ch *datachannel.Channel) {
	if ch == t.own {
		t.certain = true
	}
}

// add adds a line. It reports false if too many wait.
func (t *textChannels) add(line string) bool {
	if len(t.waiting) >= maxWaiting {
		return false
	}
	t.waiting = append(t.waiting, line)
	return true
}

// channel returns the channel for text, nil while there is none.
func (t *textChannels) channel() *datachannel.Channel {
	if t.theirs == nil && t.certain {
		return t.own
	}
	return t.theirs
}

// due returns the lines to send now, and the channel.
func (t *textChannels) due() (*datachannel.Channel, []string) {
	ch := t.channel()
	if ch == nil {
		return nil, nil
	}
	lines := t.waiting
	t.waiting = nil
	return ch, lines
}
