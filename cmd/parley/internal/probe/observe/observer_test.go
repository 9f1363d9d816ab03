package observe

import (
	"encoding/json"
	"strings"
	"testing"

	"parley/cmd/parley/internal/probe/facts"
	"parley/cmd/parley/internal/session"
)

// TestRemoteEventsAreBounded: a peer that reports without end does not fill the memory.
func TestRemoteEventsAreBounded(t *testing.T) {
	w := New()
	line := []byte(`{"event":"text","direction":"in","text":"` + strings.Repeat("x", session.MaxCommand) + `"}`)
	var e RemoteEvent
	if err := json.Unmarshal(line, &e); err != nil {
		t.Fatal(err)
	}
	for range maxRemoteEvents/session.MaxCommand + 2 {
		w.NoteRemote(line, e)
	}
	if w.remoteEvents.Len() > maxRemoteEvents || len(w.All("remote.text")) > facts.MaxValues || len(w.Latest("remote.text")) != maxFact {
		t.Errorf("%d bytes and %d texts are kept", w.remoteEvents.Len(), len(w.All("remote.text")))
	}
}

// TestCodesAreCompared: whichever is known first.
func TestCodesAreCompared(t *testing.T) {
	for theirs, want := range map[string]string{"1": "same", "2": "other"} {
		w := New()
		w.NoteRemote(nil, RemoteEvent{Event: "code", Code: theirs})
		w.code = "1"
		w.NoteRemote(nil, RemoteEvent{Event: "state", Connection: "connected"})
		if got := w.Latest("codes"); got != want {
			t.Errorf("1 and %s: %q", theirs, got)
		}
	}
}
