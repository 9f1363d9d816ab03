package client

import (
	"fmt"
	"testing"
	"time"

	"parley/signal"
)

// TestPacerCalls allows as many messages as a server does to a client in that many calls.
func TestPacerCalls(t *testing.T) {
	for _, tc := range []struct {
		typ          signal.Type
		calls        int
		atOnce, then int // then: within ten seconds more
	}{
		{signal.Offer, 0, 8, 45},
		{signal.Answer, 1, 8, 45},
		{signal.Answer, 30, 8, 240}, // the burst grows, and is full again after a time
		{signal.ICECandidate, 1, 160, 180},
		{signal.Leave, 2, 16, 180},
	} {
		p, now := newPacer(), time.Now()
		taken := func() (n int) {
			for p.take(tc.typ, tc.calls, now) == 0 {
				n++
			}
			return n
		}
		if n := taken(); n != tc.atOnce {
			t.Errorf("%s in %d calls: %d at once, want %d", tc.typ, tc.calls, n, tc.atOnce)
		}
		n := 0
		for range 10 {
			now = now.Add(time.Second)
			n += taken()
		}
		if tc.calls == 30 {
			n = min(n, tc.then)
		}
		if n < tc.then-1 || n > tc.then {
			t.Errorf("%s in %d calls: %d in ten seconds, want %d", tc.typ, tc.calls, n, tc.then)
		}
	}
}

// TestOpenCalls counts the calls that a server knows, too.
func TestOpenCalls(t *testing.T) {
	var o openCalls
	for i := range 5 {
		o.noteReceived(signal.Message{Type: signal.Offer, Peer: fmt.Sprint(i)})
	}
	o.noteReceived(signal.Message{Type: signal.Offer, Peer: "0"})
	o.noteReceived(signal.Message{Type: signal.Answer, Peer: "callee"})
	o.noteReceived(signal.Message{Type: signal.Offer}) // of the relay dialect
	o.noteSent(signal.Message{Type: signal.Offer, Peer: "absent"})
	if n := o.count(); n != 6 {
		t.Errorf("got %d calls, want 6", n)
	}
	o.noteReceived(signal.Message{Type: signal.Leave, Peer: "1"})
	o.noteSent(signal.Message{Type: signal.Leave, Peer: "2"})
	o.noteReceived(signal.Message{Type: signal.Error, Code: signal.CodeNoCall, Peer: "3"})
	if n := o.count(); n != 3 {
		t.Errorf("got %d calls, want 3", n)
	}
	if o.reset(); o.count() != 0 {
		t.Error("calls are left of an earlier session")
	}
}
