package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/sanitize"
	"parley/peer/datachannel"
)

// A side that cooperates lets who calls it look at the call from the other end, as a probe wants to: on a data channel with the
// protocol cooperationProtocol, which the caller opens, it sends the events of this call, those that have been first, each a text
// message as --output ndjson has it (schema/event.json); and it carries out what comes there, each a text message as --input ndjson
// has it (schema/command.json), and answers with a reply event. It takes no command that opens a file, a device or a program
// here, and nothing of any other call is told. A side that does not cooperate closes the channel.
const (
	cooperationProtocol = "parley.probe"
	cooperationLabel    = "probe"
)

// Bounds of what is told.
const (
	// maxEarly is how many bytes of events are kept for who opens the channel later, without statistics.
	maxEarly = 32 << 10
	// maxUntold is how many bytes of events wait to be sent. The channel of who does not take them is closed.
	maxUntold = 2 << 20
	// obeyPatience is how long a command of the other side may take, before the next one is carried out.
	obeyPatience = 10 * time.Second
)

// told are the events of a call that cooperates, in order. A nil told is that of a call that does not.
type told struct {
	more chan struct{} // has room for one

	mu      sync.Mutex // protects following
	waiting [][]byte   // lines of JSON
	size    int        // of those, in bytes
	wanted  bool       // there is a channel
	late    bool       // some are lost, so that the rest is of no use
}

func newTold() *told { return &told{more: make(chan struct{}, 1)} }

// add takes an event that happens now.
func (t *told) add(e event.Event, now time.Time) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.late || !t.wanted && (e.Name == "stats" || t.size >= maxEarly) {
		return
	}
	line := e.Line(now)
	switch {
	case !t.wanted && t.size+len(line) > maxEarly:
		return
	case t.size+len(line) > maxUntold:
		t.late, t.waiting = true, nil
		return
	}
	t.waiting, t.size = append(t.waiting, line), t.size+len(line)
	select {
	case t.more <- struct{}{}:
	default:
	}
}

// takesStats reports whether statistics are told: they are not kept for who opens the channel later.
func (t *told) takesStats() bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.wanted && !t.late
}

// want tells that there is a channel now; false: there is one already.
func (t *told) want() bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.wanted
	t.wanted = true
	return !was
}

// next waits for the next event.
func (t *told) next(ctx context.Context) ([]byte, error) {
	for {
		if line, err := t.first(); line != nil || err != nil {
			return line, err
		}
		select {
		case <-t.more:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// first is the event that waits longest, nil if there is none.
func (t *told) first() ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.late {
		return nil, errors.New("the other side takes the events too slowly")
	}
	if len(t.waiting) == 0 {
		return nil, nil
	}
	line := t.waiting[0]
	t.waiting, t.size = t.waiting[1:], t.size-len(line)
	return line, nil
}

// tell reports an event of the call, also to the other side if this one cooperates.
func (c *session) tell(e event.Event) {
	c.told.add(e, time.Now())
	c.report.Report(e)
}

// cooperates takes a channel that is for cooperation, as it opens; false: it is for something else.
func (c *session) cooperates(ch *datachannel.Channel) bool {
	if !ch.OpenedByPeer() || ch.Protocol() != cooperationProtocol {
		return false
	}
	ch.Detach()
	if !c.told.want() {
		_ = ch.Close() // an error is of a call that is over
		return true
	}
	c.enableMetering() // a probe compares the tone at both ends
	ctx, stop := context.WithCancel(c.ctx)
	c.work.Go(func() {
		defer stop()
		c.tellTo(ctx, ch)
		_ = ch.Close() // as above
	})
	c.work.Go(func() {
		defer stop()
		c.obeyTo(ctx, ch)
	})
	return true
}

// tellTo sends the events, until the call or the channel is over. Those that are too long for it are left out.
func (c *session) tellTo(ctx context.Context, ch *datachannel.Channel) {
	for {
		line, err := c.told.next(ctx)
		if err == nil {
			err = ch.Write(ctx, line, true)
		}
		if err != nil && !errors.Is(err, datachannel.ErrTooLong) {
			c.logger.Debug("no more is told to the other side", "error", err)
			return
		}
	}
}

// obeyTo carries out the commands of the other side, one after the other.
func (c *session) obeyTo(ctx context.Context, ch *datachannel.Channel) {
	for {
		data, text, err := ch.Receive(ctx)
		if err != nil {
			return
		}
		var cmd command
		if !text || len(data) > maxCommand {
			err = fmt.Errorf("a command is a text of at most %d bytes", maxCommand)
		} else if cmd, err = parseCommand(data); err == nil {
			err = c.obeyOne(ctx, cmd)
		}
		if errors.Is(err, context.Canceled) {
			return
		}
		c.told.add(replied(c.name, cmd, err), time.Now())
	}
}

// obeyed are the commands that the other side of a call may give: none that opens something of this machine.
func obeyed() []string {
	return []string{"hangup", "hold", "mute", "restart-ice", "resume", "say", "stats", "unmute"}
}

func (c *session) obeyOne(ctx context.Context, cmd command) error {
	if cmd.Peer != "" || !slices.Contains(obeyed(), cmd.Command) {
		return fmt.Errorf("the other side of a call may not ask for this; it may ask for %s, without peer", strings.Join(obeyed(), ", "))
	}
	c.report.Infof("%s asks this side to %s", sanitize.Text(c.name), cmd.Command)
	done := make(chan error, 1)
	c.do(cmd, func(err error) { done <- err })
	timeout := time.NewTimer(obeyPatience)
	defer timeout.Stop()
	select {
	case err := <-done:
		return err
	case <-timeout.C:
		return fmt.Errorf("it has not come about within %s", obeyPatience)
	case <-ctx.Done():
		return ctx.Err()
	}
}
