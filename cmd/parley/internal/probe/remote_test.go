package probe

import (
	"errors"
	"testing"

	"parley/cmd/parley/internal/probe/observe"
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

// TestRemoteEventsAreHostile: what comes by the channel is checked for what it may be.
func TestRemoteEventsAreHostile(t *testing.T) {
	f, w := &remotePeer{begun: make(chan struct{}), replies: map[int]chan error{}}, observe.New()
	for _, line := range []string{"", "{", "null", "[]", `{"event":5}`, `{"event":""}`, "\xff", `{"event":"stats","tracks":{}}`} {
		f.handleEvent(w, []byte(line))
	}
	select {
	case <-f.begun:
		t.Error("that was an event")
	default:
	}
	for _, line := range []string{`{"event":"reply","id":7,"ok":true}`, `{"event":"reply","id":"x"}`, `{"event":"reply"}`, `{"event":"code","code":""}`,
		`{"event":"stats","tracks":[{"direction":"in","kind":"smell","packets":1},{"direction":"in","kind":"audio","packets":1e300}],"report":[{"type":"transport","iceRole":[1]},{}]}`} {
		f.handleEvent(w, []byte(line))
	}
	<-f.begun
	for key := range w.Snapshot() {
		if _, known := observe.Keys()[key]; !known {
			t.Errorf("the key %q", key)
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
