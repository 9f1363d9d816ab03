//go:build gorilla

package wsconn

import (
	"encoding/binary"
	"io"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// This file replaces the package's own reader and writer by gorilla/websocket, for `make
// bench-signal` alone. The code is tuned for many idle connections: a read buffer of 1 KiB, write
// buffers from a pool, one goroutine for each connection and another only while it writes, prepared
// close frames, no compression. It enforces no MessageTimeout.

// gorillaBuffer is the size of the read and write buffers in bytes.
const gorillaBuffer = 1 << 10

// NewUpgrader returns an upgrader whose connections are passed to Pool.NewConn.
func NewUpgrader() websocket.Upgrader {
	return websocket.Upgrader{
		HandshakeTimeout: writeTimeout,
		ReadBufferSize:   gorillaBuffer, WriteBufferSize: gorillaBuffer, WriteBufferPool: new(sync.Pool),
	}
}

// Batch collects the connections to which one goroutine queues messages.
type Batch struct {
	Now     int64
	Scratch []byte

	pool         *Pool
	pendingFlush []*Conn
}

// Batch returns an empty batch from the pool. Release gives it back.
func (p *Pool) Batch() *Batch {
	if b, ok := p.batches.Get().(*Batch); ok {
		return b
	}
	return &Batch{pool: p}
}

// Release flushes the batch and gives it back to its pool.
func (b *Batch) Release() {
	b.Flush()
	b.pool.batches.Put(b)
}

// Flush starts to write to every connection to which something was queued.
func (b *Batch) Flush() {
	for i, c := range b.pendingFlush {
		b.pendingFlush[i] = nil
		c.pool.config.Goroutines.Add(1)
		go c.drain()
	}
	b.pendingFlush = b.pendingFlush[:0]
}

// Conn is the server's end of one WebSocket connection.
type Conn struct {
	pool    *Pool
	handler Handler
	ws      *websocket.Conn
	heard   atomic.Bool
	pinged  atomic.Int64
	shrink  bool

	mu         sync.Mutex // guards what follows
	queue      *buffer    // messages: opcode, length in four bytes, payload
	inFlight   int
	written    uint64
	extraQueue int
	writing    bool
	closing    bool
	closeSent  bool
	slow       bool
	aborted    bool
	readDone   bool
}

// NewConn returns a connection that calls handler from Start on.
func (p *Pool) NewConn(ws *websocket.Conn, handler Handler) *Conn {
	return &Conn{pool: p, handler: handler, ws: ws}
}

// Start starts the goroutine that reads.
func (c *Conn) Start() {
	c.ws.SetReadLimit(int64(c.pool.config.MaxMessage))
	c.ws.SetCloseHandler(func(int, string) error { return nil })
	c.ws.SetPingHandler(func(payload string) error {
		b := c.batch()
		defer b.Release()
		if err := c.handler.Meter(b); err != nil {
			return err
		}
		c.enqueue(b, websocket.PongMessage, []byte(payload))
		return nil
	})
	c.ws.SetPongHandler(func(string) error {
		b := c.batch()
		defer b.Release()
		if sent := c.pinged.Swap(0); sent != 0 {
			c.handler.HandlePong(b, time.Duration(b.Now-sent))
			return nil
		}
		return c.handler.Meter(b)
	})
	c.pool.config.Goroutines.Add(1)
	go c.run()
}

// Heard reports whether anything was received since the last Ping.
func (c *Conn) Heard() bool { return c.heard.Load() }

// ShrinkStack makes the reader continue in a new goroutine.
func (c *Conn) ShrinkStack() { c.shrink = true }

func (c *Conn) run() {
	err := c.read()
	if err == nil {
		go c.run()
		return
	}
	defer c.pool.config.Goroutines.Done()
	b := c.pool.Batch()
	b.Now = c.pool.config.Now()
	c.mu.Lock()
	if c.slow {
		err = ErrSlow
	} else if websocket.IsCloseError(err, websocket.CloseAbnormalClosure) {
		err = io.ErrUnexpectedEOF
	}
	c.mu.Unlock()
	c.handler.HandleEnd(b, err)
	switch e := err.(type) {
	case *websocket.CloseError:
		c.Close(b, e.Code, "")
	case *ProtocolError:
		c.Close(b, e.Code, e.Reason)
	}
	b.Release()
	if c.CloseSent() {
		_ = c.ws.NetConn().SetReadDeadline(time.Now().Add(closeTimeout))
		_, _ = io.Copy(io.Discard, c.ws.NetConn())
	}
	c.mu.Lock()
	c.readDone, c.closing = true, true
	last := !c.writing
	c.mu.Unlock()
	if last {
		_ = c.ws.Close()
	}
}

// read handles messages until the connection ends. It returns nil if the stack is to be freed.
func (c *Conn) read() error {
	for {
		kind, r, err := c.ws.NextReader()
		if err != nil {
			return err
		}
		if kind != websocket.TextMessage {
			return &ProtocolError{websocket.CloseUnsupportedData, "binary frames are not understood here"}
		}
		if err := c.readMessage(r); err != nil {
			return err
		}
		if c.shrink {
			c.shrink = false
			return nil
		}
	}
}

func (c *Conn) batch() *Batch {
	b := c.pool.Batch()
	b.Now = c.pool.config.Now()
	c.heard.Store(true)
	return b
}

func (c *Conn) readMessage(r io.Reader) error {
	buf := c.pool.buffers.get()
	defer c.pool.buffers.put(buf)
	for {
		if len(buf.b) == cap(buf.b) {
			buf.b = append(buf.b, 0)[:len(buf.b)]
		}
		n, err := r.Read(buf.b[len(buf.b):cap(buf.b)])
		buf.b = buf.b[:len(buf.b)+n]
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if !utf8.Valid(buf.b) {
		return &ProtocolError{websocket.CloseInvalidFramePayloadData, "the text is not valid UTF-8"}
	}
	b := c.batch()
	defer b.Release()
	return c.handler.HandleMessage(b, buf.b)
}

// Send queues one text message.
func (c *Conn) Send(b *Batch, data []byte) { c.enqueue(b, websocket.TextMessage, data) }

// Resend queues a message that does not count towards Config.MaxQueue.
func (c *Conn) Resend(b *Batch, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		c.appendLocked(b, websocket.TextMessage, data)
	}
}

// Ping queues a ping.
func (c *Conn) Ping(b *Batch) {
	c.heard.Store(false)
	c.pinged.Store(c.pool.config.Now())
	c.enqueue(b, websocket.PingMessage, nil)
}

// Close queues a close frame.
func (c *Conn) Close(b *Batch, code int, reason string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return false
	}
	c.closing, c.closeSent = true, true
	c.appendLocked(b, websocket.CloseMessage, websocket.FormatCloseMessage(code, reason))
	return true
}

// CloseSent reports whether Close has queued a close frame.
func (c *Conn) CloseSent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closeSent
}

// Abort ends a connection without a close frame.
func (c *Conn) Abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.abortLocked()
}

// AbortSlow ends a connection whose client does not keep up.
func (c *Conn) AbortSlow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slow = true
	c.abortLocked()
}

func (c *Conn) abortLocked() {
	c.closing, c.aborted, c.queue = true, true, nil
	_ = c.ws.NetConn().SetDeadline(time.Unix(1, 0))
}

// GrowQueue sets the number of bytes that may wait in addition to Config.MaxQueue, unless it is
// larger already.
func (c *Conn) GrowQueue(extra int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.extraQueue = max(c.extraQueue, extra)
}

// Backlog returns what waits to be written.
func (c *Conn) Backlog() Backlog {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Backlog{Waiting: c.queued(), Limit: c.pool.config.MaxQueue + c.extraQueue, Written: c.written}
}

func (c *Conn) queued() int {
	if c.queue == nil {
		return c.inFlight
	}
	return c.inFlight + len(c.queue.b)
}

func (c *Conn) enqueue(b *Batch, opcode byte, payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return
	}
	if c.queued()+len(payload) > c.pool.config.MaxQueue+c.extraQueue {
		c.slow = true
		c.abortLocked()
		return
	}
	c.appendLocked(b, opcode, payload)
}

func (c *Conn) appendLocked(b *Batch, opcode byte, payload []byte) {
	if c.queue == nil {
		c.queue = c.pool.buffers.get()
	}
	c.queue.b = binary.BigEndian.AppendUint32(append(c.queue.b, opcode), uint32(len(payload)))
	c.queue.b = append(c.queue.b, payload...)
	if !c.writing {
		c.writing = true
		b.pendingFlush = append(b.pendingFlush, c)
	}
}

// drain writes what is queued, each message in a system call of its own.
func (c *Conn) drain() {
	defer c.pool.config.Goroutines.Done()
	for out := c.dequeue(); out != nil; out = c.dequeue() {
		_ = c.ws.SetWriteDeadline(time.Now().Add(writeTimeout))
		for rest := out.b; len(rest) > 0; {
			n := 5 + int(binary.BigEndian.Uint32(rest[1:]))
			if err := c.ws.WriteMessage(int(rest[0]), rest[5:n]); err != nil {
				c.Abort()
				break
			}
			rest = rest[n:]
		}
		c.pool.buffers.put(out)
	}
}

func (c *Conn) dequeue() *buffer {
	c.mu.Lock()
	out := c.queue
	c.written += uint64(c.inFlight)
	c.queue, c.inFlight = nil, 0
	if out != nil {
		c.inFlight = len(out.b)
		c.mu.Unlock()
		return out
	}
	c.writing = false
	last := c.readDone
	if c.closing && !c.aborted && !last {
		_ = c.ws.NetConn().SetReadDeadline(time.Now().Add(closeTimeout))
	}
	c.mu.Unlock()
	if last {
		_ = c.ws.Close()
	}
	return nil
}
