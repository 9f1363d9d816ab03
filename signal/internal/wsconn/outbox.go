//go:build !gorilla

package wsconn

import (
	"slices"
	"time"

	"github.com/gorilla/websocket"
)

// Send queues one text message, which is written when b is flushed. It never blocks. If the queue
// would exceed Config.MaxQueue the connection ends with ErrSlow.
func (c *Conn) Send(b *Batch, data []byte) { c.enqueue(b, opText, data) }

// Resend queues a message that counted towards Config.MaxQueue on an earlier connection of the same
// client, and does not count again.
func (c *Conn) Resend(b *Batch, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		c.appendLocked(b, opText, data)
	}
}

// Ping queues a ping. HandlePong is called for the first pong after it.
func (c *Conn) Ping(b *Batch) {
	c.heard.Store(false)
	c.pinged.Store(c.pool.config.Now())
	c.enqueue(b, opPing, nil)
}

// GrowQueue sets the number of bytes that may wait to be written in addition to Config.MaxQueue,
// unless it is larger already.
func (c *Conn) GrowQueue(extra int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.extraQueue = max(c.extraQueue, extra)
}

func (c *Conn) enqueue(b *Batch, opcode byte, payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return
	}
	if c.inFlight+c.queued()+len(payload)+maxHeader > c.pool.config.MaxQueue+c.extraQueue {
		c.abortSlowLocked()
		return
	}
	c.appendLocked(b, opcode, payload)
}

// Backlog returns what waits to be written.
func (c *Conn) Backlog() Backlog {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Backlog{Waiting: c.inFlight + c.queued(), Limit: c.pool.config.MaxQueue + c.extraQueue, Written: c.written}
}

func (c *Conn) queued() int {
	if c.queue == nil {
		return 0
	}
	return len(c.queue.b)
}

func (c *Conn) appendLocked(b *Batch, opcode byte, payload []byte) {
	if c.queue == nil {
		c.queue = c.pool.buffers.get()
	}
	c.queue.b = appendFrame(c.queue.b, opcode, payload)
	if !c.writing {
		c.writing = true
		b.pendingFlush = append(b.pendingFlush, c)
	}
}

// Close queues a close frame after what is queued already, and nothing is queued after it. The
// connection ends when the client replies, or after a bounded time. It reports whether it queued
// the frame: not if the connection is closing or aborted already. The reason has at most 123 bytes.
func (c *Conn) Close(b *Batch, code int, reason string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return false
	}
	c.closing, c.closeSent = true, true
	c.appendLocked(b, opClose, websocket.FormatCloseMessage(code, reason))
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

// AbortSlow ends a connection whose client does not keep up, as a full queue does.
func (c *Conn) AbortSlow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.abortSlowLocked()
}

func (c *Conn) abortSlowLocked() {
	c.slow = true
	c.abortLocked()
}

// abortLocked makes every read and write fail instead of closing the socket, because closing can
// block (TLS sends an alert). No other deadline replaces this one: all are set under mu, unless the
// connection is closing or aborted.
func (c *Conn) abortLocked() {
	c.closing, c.aborted = true, true
	if c.queue != nil {
		c.pool.buffers.put(c.queue)
		c.queue = nil
	}
	_ = c.socket.SetDeadline(time.Unix(1, 0))
}

// flush writes what is queued until the queue is empty or the kernel takes no more.
func (c *Conn) flush(b *Batch) {
	for {
		if c.raw == nil { // a write can wait
			c.startDrain(nil, 0)
			return
		}
		out := c.dequeue()
		if out == nil {
			return
		}
		n, err := b.tryWrite(c.raw, out.b)
		if err == nil && n < len(out.b) {
			c.startDrain(out, n)
			return
		}
		c.pool.buffers.put(out)
		if err != nil {
			c.Abort()
		}
	}
}

func (c *Conn) startDrain(out *buffer, written int) {
	c.pool.config.Goroutines.Add(1)
	go c.drain(out, written)
}

// drain writes the rest of out, if it is not nil, and then what is queued. Each writeChunk may take
// writeTimeout: a client that reads slowly is not gone.
func (c *Conn) drain(out *buffer, written int) {
	defer c.pool.config.Goroutines.Done()
	if out == nil {
		out = c.dequeue()
	}
	for ; out != nil; out, written = c.dequeue(), 0 {
		c.noteWritten(written)
		err := c.writeChunks(out.b[written:])
		if c.raw != nil { // flush writes without a deadline
			c.setWriteDeadline(time.Time{})
		}
		c.pool.buffers.put(out)
		if err != nil {
			c.Abort()
		}
	}
}

// writeChunks writes p. A write that has to wait shows that the client reads, as a pong does, which
// it cannot send before it has read the ping behind p. Over plain TCP the first one has to wait.
func (c *Conn) writeChunks(p []byte) error {
	for chunk := range slices.Chunk(p, writeChunk) {
		began := time.Now()
		c.setWriteDeadline(began.Add(writeTimeout))
		if _, err := c.socket.Write(chunk); err != nil {
			return err
		}
		if c.raw != nil || len(chunk) == writeChunk && time.Since(began) > minWait {
			c.heard.Store(true)
		}
		c.noteWritten(len(chunk))
	}
	return nil
}

// noteWritten notes that n of the bytes being written are.
func (c *Conn) noteWritten(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inFlight -= n
	c.written += uint64(n)
}

// dequeue takes the queue for writing. If it is empty the writing ends and dequeue returns nil.
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
	half := c.closeWrite && !c.aborted
	if c.closing && !c.aborted && !last {
		_ = c.socket.SetReadDeadline(time.Now().Add(closeTimeout))
	}
	c.mu.Unlock()
	if half && !last {
		closeWrite(c.socket)
	}
	if last { // outside the lock, because TLS can block in Close
		_ = c.socket.Close()
	}
	return nil
}

// endReading is the reader's last use of the socket.
func (c *Conn) endReading() {
	c.mu.Lock()
	c.readDone, c.closing = true, true
	last := !c.writing
	c.mu.Unlock()
	if last {
		_ = c.socket.Close()
	}
}

// setReadDeadline sets a deadline unless the connection is closing, which has one of its own.
func (c *Conn) setReadDeadline(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		_ = c.socket.SetReadDeadline(t)
	}
}

// setWriteDeadline sets a deadline unless the connection was aborted, whose deadline is in the past
// and must stay there.
func (c *Conn) setWriteDeadline(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.aborted {
		_ = c.socket.SetWriteDeadline(t)
	}
}
