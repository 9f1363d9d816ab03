package probe

import (
	"errors"
	"strings"
	"testing"

	"parley/cmd/parley/internal/probe/facts"
	"parley/cmd/parley/internal/scenario"
	"parley/cmd/parley/internal/session"
	"parley/peer"
)

// TestRemoteCommands: a probe asks for nothing that is opened at the peer.
func TestRemoteCommands(t *testing.T) {
	for name := range session.CommandMembers() {
		for _, words := range [][]string{{name}, {name, "audio"}, {name, "audio", "exec:true"}} {
			c, err := remoteCommand(words)
			if err == nil && (c.Source != "" || name == "add" || name == "source" || name == "remove") {
				t.Errorf("remote %v is %+v", words, c)
			}
		}
	}
}

// TestRemoteEventsAreHostile: what comes by the channel is looked at for what it may be, and bounded.
func TestRemoteEventsAreHostile(t *testing.T) {
	f, w := &remotePeer{begun: make(chan struct{}), replies: map[int]chan error{}}, newObserver()
	for _, line := range []string{"", "{", "null", "[]", `{"event":5}`, `{"event":""}`, "\xff", `{"event":"stats","tracks":{}}`} {
		f.heard(w, []byte(line))
	}
	select {
	case <-f.begun:
		t.Error("that was an event")
	default:
	}
	for _, line := range []string{`{"event":"reply","id":7,"ok":true}`, `{"event":"reply","id":"x"}`, `{"event":"reply"}`, `{"event":"code","code":""}`,
		`{"event":"stats","tracks":[{"direction":"in","kind":"smell","packets":1},{"direction":"in","kind":"audio","packets":1e300}],"report":[{"type":"transport","iceRole":[1]},{}]}`} {
		f.heard(w, []byte(line))
	}
	<-f.begun
	for key := range w.Snapshot() {
		if _, known := keys()[key]; !known {
			t.Errorf("the key %q", key)
		}
	}
	long := `{"event":"text","direction":"in","text":"` + strings.Repeat("x", session.MaxCommand) + `"}`
	for range maxRemoteEvents/session.MaxCommand + 2 {
		f.heard(w, []byte(long))
	}
	if w.remoteEvents.Len() > maxRemoteEvents || len(w.All("remote.text")) > facts.MaxValues {
		t.Errorf("%d bytes and %d texts are kept", w.remoteEvents.Len(), len(w.All("remote.text")))
	}
}

// TestCodesAreCompared: whichever is known first.
func TestCodesAreCompared(t *testing.T) {
	for theirs, want := range map[string]string{"1": "same", "2": "other"} {
		w := newObserver()
		w.noteRemote(nil, remoteEvent{Event: "code", Code: theirs})
		w.code = "1"
		w.noteRemote(nil, remoteEvent{Event: "state", Connection: "connected"})
		if got := w.Latest("codes"); got != want {
			t.Errorf("1 and %s: %q", theirs, got)
		}
	}
}

// TestRefusalIsTheirs: what this side does not get done by itself is no refusal of the other.
func TestRefusalIsTheirs(t *testing.T) {
	s := scenario.Step{Refused: true}
	var broken *inconclusive
	if err := asMeant(s, errors.New("no such file"), false); !errors.As(err, &broken) {
		t.Errorf("a missing file: %v", err)
	}
	if err := asMeant(s, peer.ErrRejected, true); err != nil {
		t.Errorf("a refusal: %v", err)
	}
	if err := asMeant(s, nil, false); err == nil || errors.As(err, &broken) {
		t.Errorf("an agreement: %v", err)
	}
}
