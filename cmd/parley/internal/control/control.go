// Package control lets the caller observe and control a call.
package control

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/session"
	"parley/peer/datachannel"
	"parley/peer/stats"
)

// With --allow-probe the caller may observe and control the call at this end, as a probe does: by a
// data channel with the protocol Protocol, which the caller opens, it gets the events of this call
// from the first one on, each a text message as --output ndjson writes it (schema/event.json). It
// sends commands, each a text message as --input ndjson reads it (schema/command.json), and gets a
// reply event. Commands that open a file, a device or a program are rejected; events of other calls
// are not sent. Without --allow-probe the channel is closed.
const (
	Protocol = "parley.probe"
	Label    = "probe"
)

// Bounds of the events that are sent to the caller.
const (
	// maxEarlyEvents is the most bytes of events, statistics left out, that are kept for a channel
	// that opens later.
	maxEarlyEvents = 32 << 10
	// maxQueuedEvents is the most bytes of events that wait to be sent. With more, the channel is
	// closed.
	maxQueuedEvents = 2 << 20
	// commandTimeout bounds a command of the caller, before the next one is handled.
	commandTimeout = 10 * time.Second
)

// eventQueue has the events of a call that wait to be sent to the caller, in order.
type eventQueue struct {
	more chan struct{} // has room for one

	mu       sync.Mutex // guards the following
	waiting  [][]byte   // lines of JSON
	size     int        // of those, in bytes
	open     bool       // there is a channel
	overflow bool       // events were dropped, so the rest is of no use
}

func newEventQueue() *eventQueue { return &eventQueue{more: make(chan struct{}, 1)} }

// add adds an event that happens now.
func (q *eventQueue) add(e event.Event, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.overflow || !q.open && (e.Name == "stats" || q.size >= maxEarlyEvents) {
		return
	}
	line := e.Line(now)
	switch {
	case !q.open && q.size+len(line) > maxEarlyEvents:
		return
	case q.size+len(line) > maxQueuedEvents:
		q.overflow, q.waiting = true, nil
		return
	}
	q.waiting, q.size = append(q.waiting, line), q.size+len(line)
	select {
	case q.more <- struct{}{}:
	default:
	}
}

// takesStats reports whether statistics are sent: they are not kept for a channel that opens later.
func (q *eventQueue) takesStats() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.open && !q.overflow
}

// start notes that there is a channel, and reports whether this is the first one.
func (q *eventQueue) start() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	was := q.open
	q.open = true
	return !was
}

// next waits for the next event.
func (q *eventQueue) next(ctx context.Context) ([]byte, error) {
	for {
		if line, err := q.first(); line != nil || err != nil {
			return line, err
		}
		select {
		case <-q.more:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// first returns the event that waits longest, nil if there is none.
func (q *eventQueue) first() ([]byte, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.overflow {
		return nil, errors.New("the peer receives the events too slowly")
	}
	if len(q.waiting) == 0 {
		return nil, nil
	}
	line := q.waiting[0]
	q.waiting, q.size = q.waiting[1:], q.size-len(line)
	return line, nil
}

// remoteControl lets the caller observe and control a call.
type remoteControl struct {
	*session.Session
	queue *eventQueue
}

// Allow lets the caller of a call observe and control it.
func Allow(c *session.Session) {
	r := &remoteControl{c, newEventQueue()}
	c.Observe(session.Observer{Event: func(e event.Event) {
		if c.RelayOnly() {
			e = withoutHostAddresses(e)
		}
		r.queue.add(e, time.Now())
	}, WantsStats: r.queue.takesStats})
	c.ServeChannels(r.open)
}

// withoutHostAddresses returns an event without the addresses of this host that a call with
// --ice-policy relay does not reveal to its peer.
func withoutHostAddresses(e event.Event) event.Event {
	e.Fields = slices.Clone(e.Fields)
	for i, f := range e.Fields {
		switch value := f.Value.(type) {
		case []string:
			if f.Key == "addresses" {
				e.Fields[i].Value = []string{}
			}
		case stats.Report:
			e.Fields[i].Value = withoutRelatedAddresses(value)
		}
	}
	return e
}

// withoutRelatedAddresses returns a report without the addresses that the relayed candidates of
// this host have been allocated from.
func withoutRelatedAddresses(r stats.Report) stats.Report {
	r = slices.Clone(r)
	for i, o := range r {
		if o["type"] == "local-candidate" {
			r[i] = maps.Clone(o)
			delete(r[i], "relatedAddress")
			delete(r[i], "relatedPort")
		}
	}
	return r
}

// Refuse closes channels by which the caller wants to observe a call.
func Refuse(c *session.Session) {
	c.ServeChannels(func(ch *datachannel.Channel) bool {
		if !controls(ch) {
			return false
		}
		ch.Detach()
		_ = ch.Close() // an error is of a call that is over
		return true
	})
}

func controls(ch *datachannel.Channel) bool {
	return ch.OpenedByPeer() && ch.Protocol() == Protocol
}

// open takes a channel for remote control. open is a session.ChannelHandler.
func (r *remoteControl) open(ch *datachannel.Channel) bool {
	if !controls(ch) {
		return false
	}
	ch.Detach()
	if !r.queue.start() {
		_ = ch.Close() // an error is of a call that is over
		return true
	}
	r.Received.EnableMetering() // a probe compares the tone at both ends
	ctx, stop := context.WithCancel(r.Context())
	r.Go(func() {
		defer stop()
		r.sendEvents(ctx, ch)
		_ = ch.Close() // as above
	})
	r.Go(func() {
		defer stop()
		r.receiveCommands(ctx, ch)
	})
	return true
}

// sendEvents sends the events until the call or the channel is over. Those that are too long for it
// are left out.
func (r *remoteControl) sendEvents(ctx context.Context, ch *datachannel.Channel) {
	for {
		line, err := r.queue.next(ctx)
		if err == nil {
			err = ch.Write(ctx, line, true)
		}
		if err != nil && !errors.Is(err, datachannel.ErrTooLong) {
			r.Logger().Debug("no more events are sent to the caller", "error", err)
			return
		}
	}
}

// receiveCommands runs the commands of the caller, one after the other.
func (r *remoteControl) receiveCommands(ctx context.Context, ch *datachannel.Channel) {
	for {
		data, text, err := ch.Receive(ctx)
		if err != nil {
			return
		}
		var cmd session.Command
		if !text || len(data) > session.MaxCommand {
			err = fmt.Errorf("a command is a text of at most %d bytes", session.MaxCommand)
		} else if cmd, err = session.ParseCommand(data); err == nil {
			err = r.runCommand(ctx, cmd)
		}
		if errors.Is(err, context.Canceled) {
			return
		}
		r.queue.add(session.ReplyEvent(r.Peer(), cmd, err), time.Now())
	}
}

// Commands returns the commands that the caller may send: none that opens something of this
// machine.
func Commands() []string {
	return []string{"hangup", "hold", "mute", "restart-ice", "resume", "say", "stats", "unmute"}
}

func (r *remoteControl) runCommand(ctx context.Context, cmd session.Command) error {
	if cmd.Peer != "" || !slices.Contains(Commands(), cmd.Command) {
		return fmt.Errorf("the peer may not ask for this; it may ask for %s, without peer", strings.Join(Commands(), ", "))
	}
	r.Reporter().Infof("%s asks this side to %s", sanitize.Text(r.Peer()), cmd.Command)
	running, cancel := context.WithTimeoutCause(ctx, commandTimeout, fmt.Errorf("it has not come about within %s", commandTimeout))
	defer cancel()
	return r.Do(running, cmd)
}
