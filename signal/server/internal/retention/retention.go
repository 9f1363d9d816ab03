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
)

// Buffer holds messages in the order of their numbers. The zero value is empty. Buffer is not safe
// for concurrent use.
type Buffer struct {
	kept    []message
	size    int    // bytes of the payloads
	dropped uint64 // the highest number that may be missing
}

type message struct {
	cluster.Message
	at int64
}

// New returns a buffer that misses the messages up to a number.
func New(dropped uint64) Buffer { return Buffer{dropped: dropped} }

// Add adds a message at a time in nanoseconds, and copies its payload. The oldest make room.
func (b *Buffer) Add(m cluster.Message, now int64) {
	m.Payload = slices.Clone(m.Payload)
	b.kept = append(b.kept, message{m, now})
	b.size += len(m.Payload)
	for len(b.kept) > MaxMessages || b.size > MaxBytes {
		b.drop()
	}
}

// Prune drops the messages that are older than MaxAge.
func (b *Buffer) Prune(now int64) {
	for len(b.kept) > 0 && now-b.kept[0].at > int64(MaxAge) {
		b.drop()
	}
	if len(b.kept) == 0 {
		b.kept = nil
	}
}

func (b *Buffer) drop() {
	b.size -= len(b.kept[0].Payload)
	b.dropped = b.kept[0].Number
	b.kept[0] = message{}
	b.kept = b.kept[1:]
}

// After returns the messages with a number above received, and false if some of them are missing.
func (b *Buffer) After(received uint64) (after []cluster.Message, ok bool) {
	for _, m := range b.kept {
		if m.Number > received {
			after = append(after, m.Message)
		}
	}
	return after, received >= b.dropped
}
