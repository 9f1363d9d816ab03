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
		b.Add(&cluster.Message{Number: 3 * n, Payload: payload}, int64(n))
	}
	after, ok := b.After(0)
	if len(after) != MaxMessages || !ok || after[0].Payload[0] != 1 {
		t.Fatalf("all messages: got %v, %v", numbers(after), ok)
	}
	b.Add(&cluster.Message{Number: 1000}, MaxMessages+1)
	if after, ok := b.After(3); len(after) != MaxMessages || !ok {
		t.Errorf("after one was dropped that the receiver has: got %v, %v", numbers(after), ok)
	}
	if _, ok := b.After(2); ok {
		t.Error("after one was dropped that the receiver does not have: got ok")
	}
	b.Add(&cluster.Message{Number: 1001, Payload: make([]byte, MaxBytes-8)}, MaxMessages+2)
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

// TestAddAllocatesNothing adds to a full buffer, as every message of a call does.
func TestAddAllocatesNothing(t *testing.T) {
	var b Buffer
	payload := make([]byte, 250)
	number := uint64(0)
	add := func() {
		number++
		b.Add(&cluster.Message{Number: number, Payload: payload}, int64(number))
	}
	for range 2 * MaxMessages {
		add()
	}
	if n := testing.AllocsPerRun(1000, add); n != 0 {
		t.Errorf("Add to a full buffer: got %v allocations, want 0", n)
	}
}

// TestAfterReturnsCopies adds messages after After, which use the same slots.
func TestAfterReturnsCopies(t *testing.T) {
	var b Buffer
	b.Add(&cluster.Message{Number: 1, Payload: []byte("one")}, 1)
	after, _ := b.After(0)
	for n := uint64(2); n <= MaxMessages+1; n++ {
		b.Add(&cluster.Message{Number: n, Payload: []byte("two")}, 2)
	}
	if len(after) != 1 || string(after[0].Payload) != "one" {
		t.Errorf("after 64 later messages: got %+v, want one message with the payload one", after)
	}
}

// TestBufferGivesUpLargePayloads adds long messages, of which one at a time fits.
func TestBufferGivesUpLargePayloads(t *testing.T) {
	var b Buffer
	for n := range uint64(3 * MaxMessages) {
		b.Add(&cluster.Message{Number: n + 1, Payload: make([]byte, MaxBytes-1)}, 1)
	}
	held := 0
	for i := range b.slots {
		held += cap(b.slots[i].payload)
	}
	if most := 2 * MaxBytes; held > most {
		t.Errorf("after messages of 64 KiB: %d bytes are held, want at most %d", held, most)
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
