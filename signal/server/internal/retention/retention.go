// Package retention keeps the latest messages of a session in a call, in case the other session
// continues at another node without them.
package retention

import (
	"slices"
	"time"

	"parley/signal/cluster"
)

const (
	// MaxMessages and MaxBytes bound a Buffer.
	MaxMessages = 64
	MaxBytes    = 64 << 10
	// MaxAge is how long a message is kept at least: until a node has found out that a client is
	// away, and the client has had time to return.
	MaxAge = 90 * time.Second

	// firstSlots is the number of slots of a Buffer with a first message.
	firstSlots = 4
	// maxReused bounds the capacity of a slot that stays for a later payload: that of a candidate.
	maxReused = 512
)

// Buffer holds messages in the order of their numbers. Once it is full, Add allocates nothing for
// a payload of up to 512 bytes, because every message of a call passes through it. The zero value
// is empty. Buffer is not safe for concurrent use.
type Buffer struct {
	slots   []message // a ring
	first   int       // the slot of the oldest message
	count   int       // messages
	size    int       // bytes of the payloads
	dropped uint64    // the highest number that may be missing
}

// message is what is kept of a cluster.Message: the rest belongs to the sender and its call.
type message struct {
	number  uint64
	at      int64
	kind    cluster.Kind
	reason  cluster.Reason
	payload []byte
}

// New returns a buffer that misses the messages up to a number.
func New(dropped uint64) Buffer { return Buffer{dropped: dropped} }

// Add adds a message at a time in nanoseconds, and copies its payload. The oldest make room.
func (b *Buffer) Add(m *cluster.Message, now int64) {
	switch {
	case b.count == MaxMessages:
		b.drop()
	case b.count == len(b.slots):
		b.grow()
	}
	s := b.slot(b.count)
	s.number, s.at, s.kind, s.reason = m.Number, now, m.Kind, m.Reason
	s.payload = append(s.payload[:0], m.Payload...)
	b.count++
	for b.size += len(m.Payload); b.size > MaxBytes; {
		b.drop()
	}
}

// slot returns the slot of a message, 0 for the oldest.
func (b *Buffer) slot(i int) *message {
	if i += b.first; i >= len(b.slots) {
		i -= len(b.slots)
	}
	return &b.slots[i]
}

func (b *Buffer) grow() {
	slots := make([]message, max(firstSlots, 2*len(b.slots)))
	for i := range b.count {
		slots[i] = *b.slot(i)
	}
	b.slots, b.first = slots, 0
}

// Prune drops the messages that are older than MaxAge.
func (b *Buffer) Prune(now int64) {
	for b.count > 0 && now-b.slot(0).at > int64(MaxAge) {
		b.drop()
	}
	if b.count == 0 {
		b.slots, b.first = nil, 0
	}
}

func (b *Buffer) drop() {
	s := b.slot(0)
	b.size -= len(s.payload)
	b.dropped = s.number
	if cap(s.payload) > maxReused {
		s.payload = nil
	}
	b.count--
	if b.first++; b.first == len(b.slots) {
		b.first = 0
	}
}

// After returns copies of the messages with a number above received, and false if some of them are
// missing.
func (b *Buffer) After(received uint64) (after []cluster.Message, ok bool) {
	for i := range b.count {
		if s := b.slot(i); s.number > received {
			after = append(after, cluster.Message{Kind: s.kind, Reason: s.reason, Number: s.number, Payload: slices.Clone(s.payload)})
		}
	}
	return after, received >= b.dropped
}
