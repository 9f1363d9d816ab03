package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/scenario"
	"parley/peer"
)

// TestEventQueueIsBounded: what nobody takes costs little, and a peer that takes it too slowly gets no more.
func TestEventQueueIsBounded(t *testing.T) {
	ctx := context.Background()
	kept, long := newEventQueue(), strings.Repeat("x", 1000)
	text := func(i int) event.Event {
		return event.Event{Name: "text", Fields: event.Fields("text", long, "number", i)}
	}
	for i := range maxEarlyEvents / 500 {
		kept.add(event.Event{Name: "stats"}, time.Now())
		kept.add(text(i), time.Now())
	}
	if kept.takesStats() {
		t.Error("statistics are kept for who opens the channel later")
	}
	if kept.size > maxEarlyEvents || len(kept.waiting) < maxEarlyEvents/2000 || !kept.start() || kept.start() || !kept.takesStats() {
		t.Fatalf("%d events of %d bytes wait, wanted %v", len(kept.waiting), kept.size, kept.open)
	}
	for i := range len(kept.waiting) {
		line, err := kept.next(ctx)
		if want := fmt.Sprintf(`"number":%d}`, i); err != nil || !strings.HasSuffix(strings.TrimSpace(string(line)), want) {
			t.Fatalf("%.100s, %v; want %s", line, err, want)
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := kept.next(ended); err == nil || kept.size != 0 {
		t.Errorf("there is one more, of %d bytes", kept.size)
	}
	for i := range maxQueuedEvents/1000 + 1 {
		kept.add(text(i), time.Now())
	}
	if line, err := kept.next(ctx); err == nil || len(kept.waiting) != 0 {
		t.Errorf("events were lost, and %.100s is reported", line)
	}
}

// TestRemoteCommands: the caller has nothing opened here.
func TestRemoteCommands(t *testing.T) {
	for name := range commandMembers() {
		for _, words := range [][]string{{name}, {name, "audio"}, {name, "audio", "exec:true"}} {
			c, err := remoteCommand(words)
			if err == nil && (c.Source != "" || name == "add" || name == "source" || name == "remove") {
				t.Errorf("remote %v is %+v", words, c)
			}
		}
	}
	r := &remoteControl{session: &session{}}
	for _, line := range []string{`{"command":"add","kind":"audio","source":"exec:true"}`, `{"command":"source","kind":"video","source":"camera"}`,
		`{"command":"remove","kind":"video"}`, `{"command":"hangup","peer":"carol"}`} {
		cmd, err := parseCommand([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.runCommand(context.Background(), cmd); err == nil {
			t.Errorf("%s is carried out", line)
		}
	}
}

// TestRemoteEventsAreHostile: what comes by the channel is looked at for what it may be, and bounded.
func TestRemoteEventsAreHostile(t *testing.T) {
	f, w := &remotePeer{begun: make(chan struct{}), replies: map[int]chan error{}}, newCallObserver()
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
	for key := range w.snapshot() {
		if _, known := probeSorts()[key]; !known {
			t.Errorf("the key %q", key)
		}
	}
	long := `{"event":"text","direction":"in","text":"` + strings.Repeat("x", maxCommand) + `"}`
	for range maxRemoteEvents/maxCommand + 2 {
		f.heard(w, []byte(long))
	}
	if w.remoteEvents.Len() > maxRemoteEvents || len(w.all("remote.text")) > maxFacts {
		t.Errorf("%d bytes and %d texts are kept", w.remoteEvents.Len(), len(w.all("remote.text")))
	}
}

// TestCodesAreCompared: whichever is known first.
func TestCodesAreCompared(t *testing.T) {
	for theirs, want := range map[string]string{"1": "same", "2": "other"} {
		w := newCallObserver()
		w.noteRemote(nil, remoteEvent{Event: "code", Code: theirs})
		w.code = "1"
		w.noteRemote(nil, remoteEvent{Event: "state", Connection: "connected"})
		if got := w.latest("codes"); got != want {
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
