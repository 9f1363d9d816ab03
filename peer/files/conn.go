package files

import "context"

// Protocol is the protocol of a data channel that carries files.
const Protocol = "parley.files.1"

// A Conn carries messages, whole and in order: a data channel. Write and
// Receive may be called at the same time, each by one goroutine.
type Conn interface {
	// Write queues a message once there is room for it, no longer than ctx. It
	// keeps nothing of data.
	Write(ctx context.Context, data []byte, text bool) error
	// Receive waits for the next message, which is valid until the next call.
	// The error is io.EOF once the other side has closed.
	Receive(ctx context.Context) (data []byte, text bool, err error)
	// MaxMessage is the size in bytes of the largest message that the other
	// side takes.
	MaxMessage() int
}

const (
	maxControl = 64 << 10  // bytes of a text message
	maxData    = 256 << 10 // bytes of a binary message that comes
	mostData   = 64 << 10  // of one that goes: larger ones gain nothing
	mostZeros  = 64 << 20  // that one message stands for: they have to be hashed
)

// dataSize is the size of the binary messages that are sent on a conn.
func dataSize(c Conn) int { return min(max(c.MaxMessage(), 1), mostData) }
