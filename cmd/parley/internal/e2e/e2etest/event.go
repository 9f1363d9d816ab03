package e2etest

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"parley/cmd/parley/internal/event/eventtest"
)

// Event is one line of --output ndjson.
type Event map[string]any

// ReadEvents parses the output of --output ndjson. It returns an error for a line that is no event
// of the schema.
func ReadEvents(text string) ([]Event, error) {
	var events []Event
	d := json.NewDecoder(strings.NewReader(text))
	for {
		var e Event
		var line json.RawMessage
		err := d.Decode(&line)
		if err == io.EOF {
			return events, nil
		}
		if err == nil {
			err = json.Unmarshal(line, &e)
		}
		if err != nil {
			return nil, fmt.Errorf("not NDJSON: %w\n%s", err, text)
		}
		if err := eventtest.Validate("event", string(line)); err != nil {
			return nil, err
		}
		if _, err := time.Parse(time.RFC3339, fmt.Sprint(e["time"])); err != nil || e["event"] == nil {
			return nil, fmt.Errorf("an event without time or name: %v", e)
		}
		events = append(events, e)
	}
}

// Has reports whether the event has all members of want, each KEY=VALUE, or KEY for any value.
func (e Event) Has(want []string) bool {
	for _, w := range want {
		key, value, hasValue := strings.Cut(w, "=")
		got, ok := e[key]
		if !ok || hasValue && fmt.Sprint(got) != value {
			return false
		}
	}
	return true
}

// ReceivesFrames waits until more frames than now were received on the track whose statistics have
// a value.
func (p *Process) ReceivesFrames(t *testing.T, key, value string, more int) {
	t.Helper()
	begun := -1
	for deadline := time.Now().Add(Patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) { // between two looks
		events, err := ReadEvents(p.Out.Complete())
		if err != nil {
			t.Fatal(err)
		}
		frames := -1
		for _, e := range events {
			tracks, _ := e["tracks"].([]any)
			for _, track := range tracks {
				if track := track.(map[string]any); track[key] == value && track["direction"] == "in" {
					frames = int(track["frames"].(float64))
				}
			}
		}
		if begun < 0 {
			begun = frames
		}
		if begun >= 0 && frames >= begun+more {
			return
		}
	}
	t.Fatalf("no %d more frames of %s", more, value)
}
