package session

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"testing"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/mediaout"
	"parley/media/testsignal"
)

// TestOrderOfCommands: a command that waits delays the later ones for the same media, and nothing
// else.
func TestOrderOfCommands(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	c := &Session{peer: "bob", ctx: ctx, cancel: end, connected: make(chan struct{})}
	c.Sending = mediaout.New(ctx, mediaout.Options{Epoch: testsignal.NewEpoch(), Logger: slog.New(slog.DiscardHandler)})
	defer c.Sending.Close()
	defer end()
	var out bytes.Buffer
	report := event.NewReporter(event.Options{Out: &out, Err: io.Discard, NDJSON: true})
	i := &input{report: report, find: only(c), latest: map[medium]<-chan struct{}{}}
	for _, line := range []string{
		`{"id":1,"command":"add","kind":"video","source":"exec:exec sleep 60"}`,
		`{"id":2,"command":"mute","kind":"video"}`,
		`{"id":3,"command":"mute"}`,
		`{"id":4,"command":"remove","kind":"video"}`,
		`{"id":5,"command":"stats"}`,
		`{"id":6,"command":"say","peer":"carol","text":"hello"}`,
	} {
		i.runLine(ctx, []byte(line))
	}
	end()
	i.running.Wait()
	if err := report.Close(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		var reply struct {
			ID    json.Number `json:"id"`
			Error string      `json:"error"`
		}
		if err := json.Unmarshal([]byte(line), &reply); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		got = append(got, reply.ID.String()+" "+reply.Error)
	}
	want := []string{
		"5 the call is not connected yet", `6 there is no call with "carol"`,
		"1 the call is over", "2 the call is over", "3 the call is over", "4 the call is over",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("replies:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
