package session

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"parley/cmd/parley/internal/event"
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

// Check returns an error if there is no such command, or if its members are not those that it
// needs.
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

// Do runs a command, and returns when it is in force or ctx ends. The error is peer.ErrOver if the
// call is over. Commands of one kind of media wait for each other.
func (c *Session) Do(ctx context.Context, cmd Command) error {
	switch cmd.Command {
	case "say":
		c.Call.Say(cmd.Text)
	case "hangup":
		c.Call.Hangup()
	case "stats":
		return reportStats(c, cmd)
	case "restart-ice":
		return c.Call.Restart(ctx)
	case "add":
		return c.Sending.Add(ctx, cmd.Kind, cmd.Source)
	case "remove":
		return c.Sending.Remove(ctx, cmd.Kind)
	case "source":
		return c.Sending.Replace(ctx, cmd.Kind, cmd.Source)
	case "mute", "unmute":
		return c.Sending.Mute(ctx, cmd.Kind, cmd.Command == "mute")
	case "hold", "resume":
		return c.Sending.Hold(ctx, cmd.Command == "hold")
	}
	return nil
}

// reportStats reports the statistics that a command asks for.
func reportStats(c *Session, cmd Command) error {
	if !c.IsConnected() {
		return errors.New("the call is not connected yet")
	}
	c.Emit(event.Event{Name: "stats", Peer: c.peer, Fields: append(withID(cmd), c.stats.fields(true)...), Message: c.stats.line()})
	c.Received.EnableMetering()
	return nil
}

func withID(cmd Command) []event.Field {
	if len(cmd.ID) == 0 {
		return nil
	}
	return event.Fields("id", cmd.ID)
}
