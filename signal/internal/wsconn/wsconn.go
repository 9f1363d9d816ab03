// Package wsconn reads and writes the WebSocket messages of a server's many mostly idle clients.
//
// gorilla/websocket performs the handshake and is not used afterwards. Frames received are parsed
// by a reader that waits without holding a buffer. Frames sent are collected in a bounded queue, so
// that several leave in one system call and a slow client never delays another. An idle connection
// costs one goroutine, without a buffer over plain TCP and with half a kilobyte over TLS. Only text
// messages are supported, without extensions (RFC 6455).
//
// With the build tag gorilla the package uses gorilla/websocket for everything. "make bench-signal"
// compares the two.
package wsconn

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// writeTimeout bounds one write. A client that takes nothing for so long is gone.
	writeTimeout = 10 * time.Second
	// writeChunk is the size of a write to a client that reads slowly, in bytes. Such a client
	// needs to read this much in writeTimeout.
	writeChunk = 16 << 10
	// sendBuffer is the size of a socket's send buffer in bytes. A larger one would hide for long
	// that a client reads slowly: the system resumes a write when a third of the buffer is free.
	sendBuffer = 64 << 10
	// minWait is how long the write of a whole writeChunk takes at least if it has to wait for the
	// client.
	minWait = 10 * time.Millisecond
	// closeTimeout bounds the wait for the peer's part of a close handshake.
	closeTimeout = 5 * time.Second
)

// Config are the options of a Pool. All fields are required.
type Config struct {
	// MaxMessage is the longest message that is accepted, in bytes. A longer one ends the
	// connection with a ProtocolError of code 1009. A connection can hold one such message in
	// memory.
	MaxMessage int
	// MaxQueue is the number of bytes that may wait to be written to one connection. A connection
	// that exceeds it ends with ErrSlow.
	MaxQueue int
	// MessageTimeout is the time that a client has to complete a message once it has begun.
	// math.MaxInt64 means no limit.
	MessageTimeout time.Duration
	// Now returns a monotonic, positive time in nanoseconds.
	Now func() int64
	// Goroutines counts the goroutines that connections start.
	Goroutines *sync.WaitGroup
}

// Pool holds the options and the memory that the connections of a server share.
type Pool struct {
	config  Config
	buffers buffers
	batches sync.Pool
	load    load
}

// NewPool returns a pool without connections.
func NewPool(config Config) *Pool { return &Pool{config: config} }

// load measures how busy a server is, by the number of its reads. Its zero value is ready for use.
type load struct {
	window atomic.Int64 // the number of the current window
	reads  atomic.Int64 // in the current window
	busy   atomic.Bool  // busyReads were reached in the window before
}

const (
	// loadWindow is the time in nanoseconds in which reads are counted.
	loadWindow = int64(10 * time.Millisecond)
	// busyReads is the number of reads in a window from which on a server counts as busy: about a
	// tenth of one processor.
	busyReads = 80
)

// note counts a read at a time of Config.Now.
func (l *load) note(now int64) {
	window := now / loadWindow
	if last := l.window.Load(); last != window && l.window.CompareAndSwap(last, window) {
		l.busy.Store(l.reads.Swap(0) >= busyReads && window == last+1)
	}
	l.reads.Add(1)
}

// Handler handles what a connection receives. One goroutine calls it. It may queue frames to any
// connection in the batch, which is flushed before the reader waits again, but may not keep the
// batch. An error ends the connection and is passed to HandleEnd.
type Handler interface {
	// HandleMessage handles a text message, which is valid UTF-8. It may not keep data.
	HandleMessage(b *Batch, data []byte) error
	// Meter is called for every frame that costs work and carries little: a ping, a pong that
	// answers no ping, and a fragment of fewer than SmallFragment bytes that is not the last of its
	// message.
	Meter(b *Batch) error
	// HandlePong handles the pong to a Ping, after the round-trip time.
	HandlePong(b *Batch, rtt time.Duration)
	// HandleEnd handles the end of reading. HandleEnd is called once, for every connection that was
	// started. The error is a *websocket.CloseError if the client sent a close frame, a
	// *ProtocolError, ErrSlow, an error of the handler, or an error of the socket. After it a close
	// frame is sent, unless there was one: the reply to the client's, or that of the ProtocolError.
	HandleEnd(b *Batch, err error)
}

// SmallFragment is the payload in bytes below which a fragment is metered. Clients that fragment
// their messages by the size of a buffer send larger ones.
const SmallFragment = 512

// ProtocolError is a violation of RFC 6455 or of a limit by the client.
type ProtocolError struct {
	Code   int    // the close code to send
	Reason string // the reason to send
}

func (e *ProtocolError) Error() string { return e.Reason }

// ErrSlow is the end of a connection whose queue was full.
var ErrSlow = errors.New("client reads too slowly: the send queue is full")

// Backlog is what waits to be written to a client. All fields are numbers of bytes.
type Backlog struct {
	Waiting int    // queued, or being written
	Limit   int    // of Waiting; a client that exceeds it ends with ErrSlow
	Written uint64 // written since the beginning
}

// buffer is memory that idle connections do not hold: for a fragmented message, or for the frames
// that wait to be written.
type buffer struct{ b []byte }

// buffers is a pool of buffer. Its zero value is ready for use.
type buffers struct{ pool sync.Pool }

func (p *buffers) get() *buffer {
	if buf, ok := p.pool.Get().(*buffer); ok {
		return buf
	}
	return &buffer{b: make([]byte, 0, smallBuffer)}
}

func (p *buffers) put(buf *buffer) {
	if cap(buf.b) > keptBuffer {
		return
	}
	buf.b = buf.b[:0]
	p.pool.Put(buf)
}

const (
	// smallBuffer is the initial capacity of a buffer in bytes.
	smallBuffer = 1 << 10
	// keptBuffer bounds the memory that returns to the pool, so that one large frame does not stay.
	keptBuffer = 32 << 10
)
