package session

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/mediaout"
	"parley/media"
)

// Command is one line of --input ndjson; schema/command.json is its schema.
type Command struct {
	ID      json.RawMessage `json:"id"`
	Command string          `json:"command"`
	Peer    string          `json:"peer"`
	Text    string          `json:"text"`
	Kind    string          `json:"kind"`
	Source  string          `json:"source"`
}

// CommandMembers are the members that a command needs (+) or may have, beside id,
// command and peer.
func CommandMembers() map[string]string {
	return map[string]string{
		"say": "+text", "hangup": "", "mute": "kind", "unmute": "kind", "hold": "", "resume": "",
		"add": "+kind +source", "remove": "+kind", "source": "+kind +source", "restart-ice": "", "stats": "",
	}
}

// maxID is the most bytes of a command's id.
const maxID = 256

// ParseCommand reads and checks a line. The command is returned with its id even
// if there is an error, for the reply.
func ParseCommand(line []byte) (Command, error) {
	var c Command
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	err := d.Decode(&c)
	if err != nil {
		var known struct {
			ID      json.RawMessage `json:"id"`
			Command string          `json:"command"`
		}
		_ = json.Unmarshal(line, &known) // what can be had of it
		c = Command{ID: known.ID, Command: known.Command}
		err = fmt.Errorf("the line is not a command: %s", strings.TrimPrefix(err.Error(), "json: "))
	} else if d.More() {
		err = errors.New("the line has more than one command")
	}
	if !validID(c.ID) {
		c.ID = nil
		if err == nil {
			err = fmt.Errorf("id is a string or a number of at most %d bytes", maxID)
		}
	}
	if err == nil {
		err = c.Check()
	}
	return c, err
}

func validID(id json.RawMessage) bool {
	if len(id) > maxID {
		return false
	}
	return len(id) == 0 || id[0] == '"' || id[0] == '-' || id[0] >= '0' && id[0] <= '9'
}

// Check returns an error if there is no such command, or if its members are not those that it needs.
func (c Command) Check() error {
	members, ok := CommandMembers()[c.Command]
	if !ok {
		return fmt.Errorf("there is no command %q; there are add, hangup, hold, mute, remove, restart-ice, resume, say, source, stats, unmute", c.Command)
	}
	for name, value := range map[string]string{"text": c.Text, "kind": c.Kind, "source": c.Source} {
		needed := strings.Contains(members, "+"+name)
		switch {
		case needed && value == "":
			return fmt.Errorf("the command %s needs %s", c.Command, name)
		case value != "" && !strings.Contains(members, name):
			return fmt.Errorf("the command %s has no %s", c.Command, name)
		}
	}
	if c.Kind != "" && c.Kind != "audio" && c.Kind != "video" {
		return fmt.Errorf("kind is audio or video, not %q", c.Kind)
	}
	return nil
}

// Do runs a command and calls done with its result, once, from any goroutine. Commands take effect in the
// order of the calls, except that restart-ice and the commands of one kind of media do not wait for the other.
func (c *Session) Do(cmd Command, done func(error)) {
	switch cmd.Command {
	case "say":
		c.Call.Say(cmd.Text)
		done(nil)
	case "hangup":
		done(nil)
		c.Call.Hangup()
	case "restart-ice":
		c.Sending.Change(nil, done, c.Call.Restart)
	case "stats":
		if !c.IsConnected() {
			done(errors.New("the call is not connected yet"))
			return
		}
		c.Emit(event.Event{Name: "stats", Peer: c.peer, Fields: append(withID(cmd), c.stats.fields(true)...), Message: c.stats.line()})
		c.Received.EnableMetering()
		done(nil)
	default:
		affected := media.Kinds()
		if cmd.Kind != "" {
			affected = []string{cmd.Kind}
		}
		c.Sending.Change(affected, done, func(ctx context.Context) error { return changeMedia(ctx, c.Sending, cmd) })
	}
}

// changeMedia runs a command that changes what is sent, and waits until that is in force.
func changeMedia(ctx context.Context, sending *mediaout.Senders, cmd Command) error {
	switch cmd.Command {
	case "add":
		return sending.Add(ctx, cmd.Kind, cmd.Source)
	case "remove":
		return sending.Remove(ctx, cmd.Kind)
	case "source":
		return sending.Replace(ctx, cmd.Kind, cmd.Source)
	case "mute", "unmute":
		return sending.Mute(ctx, cmd.Kind, cmd.Command == "mute")
	}
	return sending.Hold(ctx, cmd.Command == "hold")
}

func withID(cmd Command) []event.Field {
	if len(cmd.ID) == 0 {
		return nil
	}
	return event.Fields("id", cmd.ID)
}
