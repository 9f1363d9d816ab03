package session

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"sync"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/resources"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/stdio"
)

// MaxCommand is the longest line of --input, in bytes.
const MaxCommand = 512 << 10

// input runs the commands of standard input.
type input struct {
	report *event.Reporter
	find   func(peer string) (*Session, error) // returns the call that a command is for
}

// ReadInput runs the commands of --input, if there is one, until the function is called. find returns the call that
// one is for. The end of the input ends nothing.
func ReadInput(o *Options, r *resources.Resources, find func(peer string) (*Session, error)) (stop func(), err error) {
	if !o.Input {
		return func() {}, nil
	}
	in, stopReading, err := stdio.NewCancelReader(r.Stdin)
	if err != nil {
		return nil, exit.Errorf(exit.Failure, "--input: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	commands := input{r.Report, find}
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

func (i input) run(ctx context.Context, in io.Reader) error {
	return stdio.EachLine(in, MaxCommand, func(line []byte, tooLong bool) bool {
		switch {
		case tooLong:
			i.reply("", Command{}, fmt.Errorf("a line has more than %d bytes, and was skipped", MaxCommand))
		case len(bytes.TrimSpace(line)) > 0:
			i.runLine(line)
		}
		return ctx.Err() == nil
	})
}

// runLine runs the command of one line.
func (i input) runLine(line []byte) {
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
	c.Do(cmd, func(err error) {
		i.reply(c.peer, cmd, err)
		if err == nil && (cmd.Command == "mute" || cmd.Command == "unmute") {
			c.Sending.AnnounceMute(cmd.Kind, cmd.Command == "mute")
		}
	})
}

// reply reports how a command went.
func (i input) reply(peer string, cmd Command, err error) {
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
