//go:build !gorilla

package wsconn

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

// maxLinger is the number of bytes that are read after an error, while the client may not have
// received our close frame.
const maxLinger = 4 << 20

// NewUpgrader returns an upgrader whose connections are passed to Pool.NewConn. The caller sets the
// fields that decide who may connect.
func NewUpgrader() websocket.Upgrader {
	// No sizes: the handshake uses the buffers of net/http, and gorilla does not read or write
	// later.
	return websocket.Upgrader{HandshakeTimeout: writeTimeout}
}

// Conn is the server's end of one WebSocket connection. Its methods are safe for concurrent use
// except where they say otherwise.
type Conn struct {
	pool    *Pool
	handler Handler
	socket  net.Conn
	raw     syscall.RawConn // below socket if it is plain TCP, otherwise nil

	heard  atomic.Bool  // since the last ping, see Heard
	pinged atomic.Int64 // when the ping was sent that no pong has answered; 0 if there is none
	shrink bool         // owned by the reader, see ShrinkStack

	mu         sync.Mutex // guards what follows
	queue      *buffer    // whole frames that wait to be written; nil if there are none
	inFlight   int        // bytes being written
	written    uint64     // bytes written since the beginning
	extraQueue int        // added to Config.MaxQueue
	writing    bool       // a goroutine writes, or a batch has the connection in pendingFlush
	closing    bool       // nothing more is queued
	closeSent  bool       // a close frame was queued
	closeWrite bool       // the writing half is to be closed when all is written
	slow       bool       // aborted because the queue was full
	aborted    bool       // every read and write fails from now on
	readDone   bool       // the reader has ended; the last of reader and writer closes the socket
}

// NewConn returns a connection that calls handler from Start on. Frames can be queued before. The
// connection owns ws.
func (p *Pool) NewConn(ws *websocket.Conn, handler Handler) *Conn {
	socket := ws.NetConn()
	below := socket
	if secure, ok := socket.(interface{ NetConn() net.Conn }); ok {
		below = secure.NetConn()
	}
	if tcp, ok := below.(interface{ SetWriteBuffer(bytes int) error }); ok {
		_ = tcp.SetWriteBuffer(sendBuffer)
	}
	return p.newConn(socket, handler)
}

func (p *Pool) newConn(socket net.Conn, handler Handler) *Conn {
	return &Conn{pool: p, handler: handler, socket: socket, raw: rawOf(socket)}
}

// Start starts the goroutine that reads. Start is called once.
func (c *Conn) Start() {
	c.pool.config.Goroutines.Add(1)
	go c.run(newReader(c))
}

// Heard reports whether the client has sent anything, or has read something that waited for it,
// since the last Ping.
func (c *Conn) Heard() bool { return c.heard.Load() }

// ShrinkStack makes the reader continue in a new goroutine when all input is handled, because the
// handler has grown the stack for something that does not recur. Only the handler may call it.
func (c *Conn) ShrinkStack() { c.shrink = true }

// run reads until the connection ends, then closes it.
func (c *Conn) run(r *reader) {
	err := r.read()
	if err == errRest {
		go c.run(r) // the old stack is freed
		return
	}
	defer c.pool.config.Goroutines.Done()
	b := r.hold()
	c.handler.HandleEnd(b, c.endReason(err))
	var closed *websocket.CloseError
	var broken *ProtocolError
	switch {
	case errors.As(err, &closed):
		c.Close(b, closed.Code, "")
	case errors.As(err, &broken):
		c.Close(b, broken.Code, broken.Reason)
	}
	b.Flush()
	if closed == nil && !r.failed && c.CloseSent() {
		r.linger()
	}
	r.release()
	c.endReading()
}

// endReason returns ErrSlow if that is why the socket failed, and otherwise err.
func (c *Conn) endReason(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.slow {
		return ErrSlow
	}
	return err
}

// linger waits for a bounded time until the client has received our close frame. Closing a socket
// that has unread input resets the connection, and a reset overtakes the frame.
func (r *reader) linger() {
	c := r.c
	c.mu.Lock()
	written := !c.writing && !c.aborted
	c.closeWrite = r.broken && !written
	if !c.aborted {
		_ = c.socket.SetReadDeadline(time.Now().Add(closeTimeout))
	}
	c.mu.Unlock()
	if written && r.broken {
		closeWrite(c.socket)
	}
	if r.b != nil && r.broken {
		r.b.start = r.b.end
	}
	for limit := r.received + maxLinger; r.received < limit; {
		if r.broken {
			if r.fill() != nil {
				return
			}
			r.b.start = r.b.end
		} else if f, err := r.next(); err != nil || f.opcode == opClose { // the client's own close frame
			return
		}
	}
}

// closeWrite closes the writing half of a socket that has one: the client reads the end after our
// close frame.
func closeWrite(socket net.Conn) {
	if s, ok := socket.(interface{ CloseWrite() error }); ok {
		_ = s.CloseWrite()
	}
}

// closeCode returns the code of a close frame's payload, 1005 if it has none, and whether it is
// valid (RFC 6455, section 7.4).
func closeCode(payload []byte) (code int, ok bool) {
	switch {
	case len(payload) == 0:
		return websocket.CloseNoStatusReceived, true
	case len(payload) == 1:
		return 0, false
	}
	code = int(payload[0])<<8 | int(payload[1])
	switch {
	case code >= 3000 && code < 5000, code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006:
		return code, true
	}
	return 0, false
}
