package retention

import (
	"testing"

	"go.uber.org/goleak"

	"parley/signal/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func numbers(messages []cluster.Message) (n []uint64) {
	for _, m := range messages {
		n = append(n, m.Number)
	}
	return n
}

func TestBuffer(t *testing.T) {
	var b Buffer
	payload := make([]byte, 4)
	for n := uint64(1); n <= MaxMessages; n++ {
		payload[0] = byte(n)
		b.Add(cluster.Message{Number: 3 * n, Payload: payload}, int64(n))
	}
	after, ok := b.After(0)
	if len(after) != MaxMessages || !ok || after[0].Payload[0] != 1 {
		t.Fatalf("all messages: got %v, %v", numbers(after), ok)
	}
	b.Add(cluster.Message{Number: 1000}, MaxMessages+1)
	if after, ok := b.After(3); len(after) != MaxMessages || !ok {
		t.Errorf("after one was dropped that the receiver has: got %v, %v", numbers(after), ok)
	}
	if _, ok := b.After(2); ok {
		t.Error("after one was dropped that the receiver does not have: got ok")
	}
	b.Add(cluster.Message{Number: 1001, Payload: make([]byte, MaxBytes-8)}, MaxMessages+2)
	if after, ok := b.After(999); len(after) != 2 || !ok {
		t.Errorf("after a long message: got %v, %v", numbers(after), ok)
	}
	b.Prune(MaxMessages + 2 + int64(MaxAge))
	if after, ok := b.After(1000); len(after) != 1 || !ok {
		t.Errorf("after the older ones have aged: got %v, %v", numbers(after), ok)
	}
	b.Prune(MaxMessages + 3 + int64(MaxAge))
	if after, ok := b.After(1001); len(after) != 0 || !ok || b.size != 0 {
		t.Errorf("after all have aged: got %v, %v, %d bytes", numbers(after), ok, b.size)
	}
}

func TestNewBuffer(t *testing.T) {
	b := New(7)
	if _, ok := b.After(6); ok {
		t.Error("message 7 is missing: got ok")
	}
	if _, ok := b.After(7); !ok {
		t.Error("no message after 7 is missing: got not ok")
	}
}
