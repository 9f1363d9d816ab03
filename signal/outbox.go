package signal

import (
	"time"

	"github.com/gorilla/websocket"
)

const (
	// writeWait bounds one write; a client that takes nothing for so long is gone.
	writeWait = 10 * time.Second
	// closeWait bounds the wait for the other side of a close handshake.
	closeWait = 5 * time.Second
)

// send queues one text frame. It never blocks and never drops silently: over the bound the connection ends. It is written when w is
// flushed.
func (c *conn) send(w *work, frame []byte) { c.enqueue(w, opText, frame) }

func (c *conn) enqueue(w *work, opcode byte, payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return
	}
	if c.inFlight+c.queued()+len(payload)+maxHeader > c.server.opts.MaxQueue {
		c.abortSlowLocked()
		return
	}
	c.appendLocked(w, opcode, payload)
}

// repeat queues a frame that had its place in a queue before.
func (c *conn) repeat(w *work, frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		c.appendLocked(w, opText, frame)
	}
}

func (c *conn) queued() int {
	if c.queue == nil {
		return 0
	}
	return len(c.queue.b)
}

func (c *conn) appendLocked(w *work, opcode byte, payload []byte) {
	if c.queue == nil {
		c.queue = c.server.buffers.get()
	}
	c.queue.b = appendFrame(c.queue.b, opcode, payload)
	if !c.writing {
		c.writing = true
		w.dirty = append(w.dirty, c)
	}
}

// close queues a close frame behind what is queued already, and lets nothing follow it. The user's session ends with it.
func (c *conn) close(w *work, code int, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return
	}
	c.closing, c.final = true, true
	c.server.metrics.closed(code)
	c.appendLocked(w, opClose, websocket.FormatCloseMessage(code, reason))
}

// abort ends a connection whose client is dead, or cannot be told why.
func (c *conn) abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.abortLocked()
}

// abortSlow ends a connection whose client does not keep up.
func (c *conn) abortSlow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.abortSlowLocked()
}

func (c *conn) abortSlowLocked() {
	c.slow, c.final = true, true // logged by the reader: the hub may be locked here
	c.abortLocked()
}

// abortLocked lets every read and write fail instead of closing the socket, because closing may block (TLS sends an alert).
// A deadline set elsewhere cannot undo it: all of that runs under mu, and looks at closing and aborted.
func (c *conn) abortLocked() {
	c.closing, c.aborted = true, true
	if c.queue != nil {
		c.server.buffers.put(c.queue)
		c.queue = nil
	}
	_ = c.socket.SetDeadline(time.Unix(1, 0))
}

// flush writes what is queued until nothing is, or until that would take waiting.
func (c *conn) flush(w *work) {
	for {
		if c.raw == nil {
			c.drainSoon(nil, 0)
			return
		}
		out := c.dequeue()
		if out == nil {
			return
		}
		n, err := w.try(c.raw, out.b)
		if err == nil && n < len(out.b) {
			c.drainSoon(out, n)
			return
		}
		c.server.buffers.put(out)
		if err != nil {
			c.abort()
		}
	}
}

func (c *conn) drainSoon(out *buffer, written int) {
	c.server.wait.Add(1)
	go c.drain(out, written)
}

// drain writes with all the patience that a socket deserves: first the rest of out, if any.
func (c *conn) drain(out *buffer, written int) {
	defer c.server.wait.Done()
	if out == nil {
		out = c.dequeue()
	}
	for ; out != nil; out, written = c.dequeue(), 0 {
		c.setWriteDeadline(time.Now().Add(writeWait))
		_, err := c.socket.Write(out.b[written:])
		c.setWriteDeadline(time.Time{})
		c.server.buffers.put(out)
		if err != nil {
			c.abort()
		}
	}
}

// dequeue takes the queue for writing. When it is empty the writing is over: dequeue sets the state at rest and returns nil.
func (c *conn) dequeue() *buffer {
	c.mu.Lock()
	out := c.queue
	c.queue, c.inFlight = nil, 0
	if out != nil {
		c.inFlight = len(out.b)
		c.mu.Unlock()
		return out
	}
	c.writing = false
	last := c.readDone
	if c.closing && !c.aborted && !last {
		_ = c.socket.SetReadDeadline(time.Now().Add(closeWait))
	}
	c.mu.Unlock()
	if last { // outside the lock, as TLS may block in Close
		_ = c.socket.Close()
	}
	return nil
}

// readEnded is the reader's last act on the socket. It reports whether the client was cut off for reading too slowly.
func (c *conn) readEnded() (slow bool) {
	c.mu.Lock()
	c.readDone, c.closing = true, true
	last := !c.writing
	slow = c.slow
	c.mu.Unlock()
	if last {
		_ = c.socket.Close()
	}
	return slow
}

// setReadDeadline sets a deadline unless the connection is closing, which has one of its own.
func (c *conn) setReadDeadline(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		_ = c.socket.SetReadDeadline(t)
	}
}

// setWriteDeadline sets a deadline unless the connection was aborted, whose deadline is in the past and must stay there.
func (c *conn) setWriteDeadline(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.aborted {
		_ = c.socket.SetWriteDeadline(t)
	}
}
