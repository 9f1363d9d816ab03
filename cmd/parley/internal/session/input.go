package session

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"sync"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/resources"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/stdio"
	"parley/media"
)

// MaxCommand is the longest line of --input, in bytes.
const MaxCommand = 512 << 10

// input runs the commands of standard input. Only the goroutine that reads them uses it.
type input struct {
	report *event.Reporter
	find   func(peer string) (*Session, error) // returns the call that a command is for

	running sync.WaitGroup             // commands that wait for the peer
	latest  map[medium]<-chan struct{} // closed when the latest command for it is over
}

// medium is one kind of media that a call sends.
type medium struct {
	session *Session
	kind    string
}

// ReadInput runs the commands of --input, if there is one, until the function is called. find
// returns the call that one is for. The end of the input ends nothing.
func ReadInput(o *Options, r *resources.Resources, find func(peer string) (*Session, error)) (stop func(), err error) {
	if !o.Input {
		return func() {}, nil
	}
	in, stopReading, err := stdio.NewCancelReader(r.Stdin)
	if err != nil {
		return nil, exit.Errorf(exit.Failure, "--input: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	commands := &input{report: r.Report, find: find, latest: map[medium]<-chan struct{}{}}
	var reading sync.WaitGroup
	reading.Go(func() {
		if err := commands.run(ctx, in); err != nil && ctx.Err() == nil {
			r.Report.Warnf("--input: %v; no more commands are read", err)
		}
	})
	return func() {
		cancel()
		stopReading()
		reading.Wait()
	}, nil
}

func (i *input) run(ctx context.Context, in io.Reader) error {
	defer i.running.Wait()
	return stdio.EachLine(in, MaxCommand, func(line []byte, tooLong bool) bool {
		switch {
		case tooLong:
			i.reply("", Command{}, fmt.Errorf("a line has more than %d bytes, and was skipped", MaxCommand))
		case len(bytes.TrimSpace(line)) > 0:
			i.runLine(ctx, line)
		}
		return ctx.Err() == nil
	})
}

// runLine runs the command of one line.
func (i *input) runLine(ctx context.Context, line []byte) {
	cmd, err := ParseCommand(line)
	if err != nil {
		i.reply(cmd.Peer, cmd, err)
		return
	}
	c, err := i.find(cmd.Peer)
	if err != nil {
		i.reply(cmd.Peer, cmd, err)
		return
	}
	switch cmd.Command {
	case "say", "hangup", "stats":
		i.reply(c.peer, cmd, c.Do(ctx, cmd))
	case "restart-ice":
		i.running.Go(func() { i.reply(c.peer, cmd, c.Do(ctx, cmd)) })
	default:
		i.changeMedia(ctx, c, cmd)
	}
}

// changeMedia runs a command that changes what is sent, after the earlier ones for the same kinds
// of media. It does not wait: a script need not wait for a reply before it writes the next command.
func (i *input) changeMedia(ctx context.Context, c *Session, cmd Command) {
	kinds := media.Kinds()
	if cmd.Kind != "" {
		kinds = []string{cmd.Kind}
	}
	maps.DeleteFunc(i.latest, func(m medium, _ <-chan struct{}) bool { return m.session.ctx.Err() != nil })
	over := make(chan struct{})
	var earlier []<-chan struct{}
	for _, kind := range kinds {
		if l := i.latest[medium{c, kind}]; l != nil {
			earlier = append(earlier, l)
		}
		i.latest[medium{c, kind}] = over
	}
	i.running.Go(func() {
		defer close(over)
		for _, l := range earlier {
			<-l
		}
		err := c.Do(ctx, cmd)
		i.reply(c.peer, cmd, err)
		if err == nil && (cmd.Command == "mute" || cmd.Command == "unmute") {
			c.Sending.AnnounceMute(cmd.Kind, cmd.Command == "mute")
		}
	})
}

// reply reports how a command went.
func (i *input) reply(peer string, cmd Command, err error) {
	i.report.Report(ReplyEvent(peer, cmd, err))
}

// ReplyEvent returns the event that reports the result of a command.
func ReplyEvent(peer string, cmd Command, err error) event.Event {
	fields := withID(cmd)
	if cmd.Command != "" {
		fields = append(fields, event.Field{Key: "command", Value: cmd.Command})
	}
	fields = append(fields, event.Field{Key: "ok", Value: err == nil})
	e := event.Event{Name: "reply", Peer: peer, Message: sanitize.Text(cmd.Command) + ": done"}
	if err != nil {
		fields = append(fields, event.Field{Key: "error", Value: err.Error()})
		e.Message = sanitize.Text(cmp.Or(cmd.Command, "command")) + ": " + sanitize.Text(err.Error())
	}
	e.Fields = fields
	return e
}

// only returns a function that finds the only call.
func only(c *Session) func(string) (*Session, error) {
	return func(peer string) (*Session, error) {
		if peer != "" && peer != c.peer {
			return nil, fmt.Errorf("there is no call with %q", peer)
		}
		return c, nil
	}
}
