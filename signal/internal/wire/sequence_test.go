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

// TestSequenceKeeps goes back to messages that were acknowledged: at most Keep, and KeepBytes.
func TestSequenceKeeps(t *testing.T) {
	s := Sequence{Keep: 3, KeepBytes: 1000}
	for range 7 {
		s.Next([]byte(`{}`))
	}
	s.Acknowledge(5)
	if s.Oldest() != 3 || s.Acknowledged() != 5 || s.Kept() != 5 {
		t.Fatalf("got oldest %d, acknowledged %d, kept %d; want 3, 5, 5", s.Oldest(), s.Acknowledged(), s.Kept())
	}
	if _, ok := s.Resume(1); ok {
		t.Error("resumed with a message that is not kept")
	}
	replay, ok := s.Resume(3)
	if !ok || len(replay) != 4 || string(replay[0]) != `{"seq":4,"ack":0}` || string(replay[3]) != `{"seq":7,"ack":0}` {
		t.Fatalf("resumed with %q, %v", replay, ok)
	}
	if messages, size := s.Unacked(); messages != 4 || size != 4*len(replay[0]) || s.Acknowledged() != 3 {
		t.Errorf("got %d messages of %d bytes that wait, acknowledged %d", messages, size, s.Acknowledged())
	}
	s.Next(make([]byte, 2000))
	if s.Acknowledge(8); s.Kept() != 0 || s.Oldest() != 9 {
		t.Errorf("after a long message: got kept %d, oldest %d, want 0, 9", s.Kept(), s.Oldest())
	}
}

// TestContinueSequence continues a session of another server: the numbers of both go on.
func TestContinueSequence(t *testing.T) {
	s := ContinueSequence(17, 3)
	if _, inOrder := s.Check(4); !inOrder || s.Received() != 3 {
		t.Error("the next message of the client is not in order")
	}
	if got := string(s.Next([]byte(`{}`))); got != `{"seq":18,"ack":3}` || !s.Acknowledge(17) {
		t.Errorf("first message: got %s", got)
	}
}

// TestContinuation parses what a client knows of a session, as it was written and as it cannot be.
func TestContinuation(t *testing.T) {
	k := Continuation{Oldest: 4, Served: 9, Sent: 12, Calls: []CallNumbers{{Peer: "bob", Caller: true, First: 2, Last: 8, Received: 3}, {Peer: "Zoë"}}}
	frame, _ := callCodec{}.Login(LoginRequest{Name: "alice", ResumeToken: "x", Ack: 17, Continuation: k})
	req := DecodeCall(frame)
	if got, ok := req.Continuation(2); !ok || fmt.Sprint(got) != fmt.Sprint(k) || req.Ack != 17 {
		t.Errorf("from %s: got %+v, %v, want %+v", frame, got, ok, k)
	}
	if _, ok := req.Continuation(1); ok {
		t.Error("more calls than allowed: got ok")
	}
	for _, members := range []string{
		``, `,"oldest":0`, `,"oldest":3,"served":1`, `,"oldest":3,"served":3,"sent":2`, `,"oldest":"1"`, `,"oldest":1,"calls":{}`, `,"oldest":1,"calls":[1]`,
		`,"oldest":1,"calls":[{"name":""}]`, `,"oldest":1,"calls":[{"name":"a"},{"name":"a"}]`, `,"oldest":1,"calls":[{"name":" "}]`,
		`,"oldest":1,"calls":[{"name":"a","first":-1}]`, `,"oldest":1,"calls":[{"name":"a","first":2,"last":1}]`, `,"oldest":1,"calls":[{"name":"a","last":1}]`,
	} {
		req := DecodeCall([]byte(`{"type":"login","name":"alice","resume":"x"` + members + `}`))
		if k, ok := req.Continuation(10); ok {
			t.Errorf("%s: got %+v, want none", members, k)
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
