package wire

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// end is one end of a session over a network that loses everything in flight when it breaks.
type end struct {
	sequence  Sequence
	inFlight  [][]byte // to this end
	sent, got int
}

// receive handles the next frame in flight, and acknowledges it to the peer if that is due.
func (e *end) receive(t *testing.T, peer *end) {
	if len(e.inFlight) == 0 {
		return
	}
	frame := e.inFlight[0]
	e.inFlight = e.inFlight[1:]
	seq, ack := Numbers(frame)
	isNew, inOrder := e.sequence.Check(seq)
	if !inOrder || !e.sequence.Acknowledge(ack) {
		t.Fatalf("%s is out of sequence", frame)
	}
	if !isNew {
		return
	}
	if seq != 0 {
		if n := string(lastMembers(parseObject(frame), "n")["n"]); n != fmt.Sprint(e.got) {
			t.Fatalf("got message %s, want %d", n, e.got)
		}
		e.got++
	}
	if e.sequence.Receive(seq, len(frame)) {
		if number, ok := e.sequence.Ack(); ok {
			peer.inFlight = append(peer.inFlight, AppendAck(nil, number))
		}
	}
}

func (e *end) send(peer *end) {
	peer.inFlight = append(peer.inFlight, e.sequence.Next(fmt.Appendf(nil, `{"n":%d}`, e.sent)))
	e.sent++
}

// TestSequence breaks the connection at random points: each message is received once, in order, and
// acknowledged messages are not kept.
func TestSequence(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, seed))
		a, b := &end{}, &end{}
		resume := func() {
			a.inFlight, b.inFlight = nil, nil
			toB, okA := a.sequence.Resume(b.sequence.Received())
			toA, okB := b.sequence.Resume(a.sequence.Received())
			if !okA || !okB {
				t.Fatalf("seed %d: the session cannot be resumed", seed)
			}
			a.inFlight, b.inFlight = toA, toB
		}
		for range 2000 {
			switch n := random.IntN(100); {
			case n < 30:
				a.send(b)
			case n < 45:
				b.send(a)
			case n < 70:
				a.receive(t, b)
			case n < 97:
				b.receive(t, a)
			default:
				resume()
			}
		}
		for resume(); len(a.inFlight)+len(b.inFlight) > 0; {
			a.receive(t, b)
			b.receive(t, a)
		}
		if a.got != b.sent || b.got != a.sent {
			t.Errorf("seed %d: %d and %d messages received, want %d and %d", seed, a.got, b.got, b.sent, a.sent)
		}
		for _, e := range []*end{a, b} {
			if messages, size := e.sequence.Unacked(); messages > AckEvery || messages == 0 != (size == 0) {
				t.Errorf("seed %d: %d messages of %d bytes are kept", seed, messages, size)
			}
		}
	}
}

// TestSequenceRefuses gives numbers that cannot be.
func TestSequenceRefuses(t *testing.T) {
	var s Sequence
	for range 3 {
		s.Next([]byte(`{}`))
	}
	if s.Acknowledge(4) {
		t.Error("a number that was not sent was acknowledged")
	}
	if _, inOrder := s.Check(2); inOrder {
		t.Error("a message is missing, and that was not noticed")
	}
	if _, ok := s.Resume(4); ok {
		t.Error("resumed after a message that was not sent")
	}
	if replay, ok := s.Resume(1); !ok || len(replay) != 2 || string(replay[0]) != `{"seq":2,"ack":0}` {
		t.Errorf("resumed with %q, %v", replay, ok)
	}
	if _, ok := s.Resume(0); ok {
		t.Error("resumed with a message that is not kept")
	}
}
