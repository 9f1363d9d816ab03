package session

import (
	"io"
	"log/slog"
	"testing"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/resources"
)

// TestEndWithoutBegin checks that observers of a call that has not begun are notified of its end
// once.
func TestEndWithoutBegin(t *testing.T) {
	report := event.NewReporter(event.Options{Out: io.Discard, Err: io.Discard})
	defer report.Close()
	ended := 0
	o := &Options{Attach: []func(*Session){func(c *Session) { c.Observe(Observer{End: func() { ended++ }}) }}}
	o.Video = "no-such-file.webm"
	if _, err := New(t.Context(), Config{Options: o, Resources: resources.New(report, slog.New(slog.DiscardHandler), nil), Peer: "bob"}); err == nil || ended != 1 {
		t.Errorf("got %v and %d ends, want an error and 1", err, ended)
	}
}
