package control

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/session"
	"parley/peer/stats"
)

// TestEventQueueIsBounded: what nobody takes costs little, and a peer that takes it too slowly gets
// no more.
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

// TestRelayOnlyHidesAddresses: with --ice-policy relay the events for the caller have no address of
// the host.
func TestRelayOnlyHidesAddresses(t *testing.T) {
	const host = "192.0.2.77"
	local := stats.Object{"id": "IL1", "type": "local-candidate", "candidateType": "relay", "address": "203.0.113.5", "relatedAddress": host, "relatedPort": 4000}
	remote := stats.Object{"id": "IR1", "type": "remote-candidate", "candidateType": "srflx", "address": "198.51.100.9", "relatedAddress": "10.0.0.9"}
	for _, e := range []event.Event{
		{Name: "addresses-changed", Peer: "alice", Fields: event.Fields("addresses", []string{host + "/24"})},
		{Name: "stats", Peer: "alice", Fields: event.Fields("rtt", 5.0, "report", stats.Report{remote, local})},
	} {
		hidden := string(withoutHostAddresses(e).Line(time.Now()))
		if strings.Contains(hidden, host) {
			t.Errorf("%s reveals %s: %s", e.Name, host, hidden)
		}
		if before := string(e.Line(time.Now())); !strings.Contains(before, host) {
			t.Errorf("the event for this side lost %s: %s", host, before)
		}
		if e.Name == "stats" && (!strings.Contains(hidden, "10.0.0.9") || !strings.Contains(hidden, "203.0.113.5")) {
			t.Errorf("stats lost what the peer knows: %s", hidden)
		}
	}
}
