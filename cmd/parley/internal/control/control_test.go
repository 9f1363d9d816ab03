package control

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/session"
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

// TestRefusedCommands: the caller has nothing opened here.
func TestRefusedCommands(t *testing.T) {
	r := &remoteControl{Session: &session.Session{}}
	for _, line := range []string{`{"command":"add","kind":"audio","source":"exec:true"}`, `{"command":"source","kind":"video","source":"camera"}`,
		`{"command":"remove","kind":"video"}`, `{"command":"hangup","peer":"carol"}`} {
		cmd, err := session.ParseCommand([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.runCommand(context.Background(), cmd); err == nil {
			t.Errorf("%s is carried out", line)
		}
	}
}
