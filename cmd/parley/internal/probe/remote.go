package probe

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"parley/cmd/parley/internal/control"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/probe/observe"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/scenario"
	"parley/cmd/parley/internal/session"
	"parley/peer/datachannel"
)

// remotePeer is the peer of a call of a probe, as far as it lets the caller observe and control the
// call, see package control.
type remotePeer struct {
	begun chan struct{} // closed when it has sent an event
	over  chan struct{} // closed after its last report

	once    sync.Once
	mu      sync.Mutex // guards the following
	channel *datachannel.Channel
	asked   int
	replies map[int]chan error // of commands without a reply
}

var errNoCooperation = errors.New("the peer does not cooperate")

// cooperate asks the peer to, as soon as the call is connected.
func (a *call) cooperate() {
	f := &remotePeer{begun: make(chan struct{}), over: make(chan struct{}), replies: map[int]chan error{}}
	a.remote = f
	a.work.Go(func() {
		defer close(f.over)
		select {
		case <-a.session.Connected():
		case <-a.running.Done():
			return
		}
		ch, err := a.session.Call.OpenChannel(a.running, datachannel.Options{Label: control.Label, Protocol: control.Protocol, Detached: true})
		if err != nil {
			return
		}
		f.mu.Lock()
		f.channel = ch
		f.mu.Unlock()
		for {
			data, _, err := ch.Receive(a.running)
			if err != nil {
				return
			}
			f.handleEvent(a.observed, data)
		}
	})
}

// handleEvent handles an event of the peer, a line of JSON. A line that is none is ignored.
func (f *remotePeer) handleEvent(w *observe.Observer, line []byte) {
	var e observe.RemoteEvent
	if json.Unmarshal(line, &e) != nil || e.Event == "" {
		return
	}
	f.once.Do(func() { close(f.begun) })
	w.NoteRemote(bytes.TrimSpace(line), e)
	if e.Event != "reply" {
		return
	}
	id, err := strconv.Atoi(string(e.ID))
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if reply := f.replies[id]; reply != nil {
		delete(f.replies, id)
		if err = nil; !e.OK {
			err = errors.New("the peer says: " + sanitize.Text(cmp.Or(e.Error, "no")))
		}
		reply <- err // has room
	}
}

// wait waits until the peer cooperates.
func (f *remotePeer) wait(ctx context.Context) error {
	select {
	case <-f.begun:
		return nil
	case <-f.over:
	case <-ctx.Done():
	}
	return errNoCooperation
}

// remoteCommand reads what stands behind remote.
func remoteCommand(words []string) (session.Command, error) {
	c := session.Command{Command: words[0]}
	switch rest := strings.Join(words[1:], " "); {
	case c.Command == "say":
		c.Text = rest
	default:
		c.Kind = rest
	}
	if !slices.Contains(control.Commands(), c.Command) {
		return c, fmt.Errorf("remote has no %q; there are %s", c.Command, strings.Join(control.Commands(), ", "))
	}
	return c, c.Check()
}

// askRemote has the peer carry out a command.
func (a *call) askRemote(ctx context.Context, s scenario.Step) error {
	c, err := remoteCommand(s.Args)
	if err != nil || a.remote == nil {
		return &inconclusive{cmp.Or(err, errors.New("a scenario with remote needs cooperation"))}
	}
	asking, cancel := context.WithTimeout(ctx, stepPatience)
	defer cancel()
	if err := a.remote.wait(asking); err != nil {
		return err
	}
	reply, err := a.remote.ask(asking, c)
	switch {
	case err != nil:
		return err
	case c.Command == "hangup": // no reply may get here
		return nil
	}
	select {
	case err := <-reply:
		return asMeant(s, err, true)
	case <-a.ended:
		return a.over(s.Text)
	case <-a.remote.over:
		return errNoCooperation
	case <-asking.Done():
		return cmp.Or(ctx.Err(), fmt.Errorf("the peer has not done it within %s", stepPatience))
	}
}

// ask sends a command; the channel gets the reply.
func (f *remotePeer) ask(ctx context.Context, c session.Command) (<-chan error, error) {
	reply := make(chan error, 1)
	f.mu.Lock()
	f.asked++
	id, ch := f.asked, f.channel
	f.replies[id] = reply
	f.mu.Unlock()
	fields := event.Fields("id", id, "command", c.Command)
	for key, v := range map[string]string{"kind": c.Kind, "text": c.Text} {
		if v != "" {
			fields = append(fields, event.Field{Key: key, Value: v})
		}
	}
	return reply, ch.Write(ctx, []byte(event.JSON(fields)), true)
}

// named returns the name of this peer for a call. The name decides which of two terminals is
// polite, see signal/doc.go.
func (p *prober) named(words []string) (string, error) {
	name := p.Call.Name
	for _, want := range []string{"impolite", "polite"} {
		if !slices.Contains(words, want) || (name < p.Target) == (want == "impolite") {
			continue
		}
		other := map[string]string{"impolite": "!", "polite": "~"}[want] + name
		if p.FixedName || (other < p.Target) != (want == "impolite") {
			return "", &notCalled{fmt.Sprintf("to be %s towards %s needs another name of this side; leave --as out", want, p.Target)}
		}
		return other, nil
	}
	return name, nil
}
