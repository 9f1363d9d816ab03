package datachannel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// ConnProtocol is the name of the subprotocol of a [Conn], which the opener of the channel gives
// it. The label of the channel is the target of the connection.
const ConnProtocol = "parley.conn"

const (
	// connWindow is how much a side sends that the peer has not read, in bytes.
	connWindow = 256 << 10
	// connMessage is the largest size of messages, in bytes. Messages of different channels come
	// interleaved (RFC 8260), and SCTP hands over whole ones only: when incomplete ones fill its
	// receive buffer, nothing moves any more. So it must hold one of each connection, a thousand of
	// them in 4 MiB.
	connMessage = 2 << 10
	// maxControl is the largest size of a control message, in bytes.
	maxControl = 1024
)

// A RefusedError is the answer of a peer that does not connect.
type RefusedError struct{ Reason string } // unchecked: quote it before printing

func (r *RefusedError) Error() string { return "the peer refused the connection: " + r.Reason }

// A Conn is one of many byte streams of a connection, each on a channel of its own. It differs from
// a Stream by a window of its own: channels share that of SCTP, so one that nobody reads would stop
// all others.
//
// A binary message carries bytes, and an empty one ends its direction. A text message is a JSON
// object: {"credit":N} lets the peer send N more bytes, beyond the 262,144 that it may send at
// first; {"accepted":true} comes first from the side that did not open the channel;
// {"refused":"reason"} says that there will be no connection. A side that breaks off closes the
// channel without an end.
//
// Each direction may be used by one goroutine.
type Conn struct {
	ch   *Channel
	ctx  context.Context
	done chan struct{} // closed when nothing comes any more

	accepted     chan struct{} // closed when something came
	acceptedOnce sync.Once

	mu     sync.Mutex // guards the following
	more   *sync.Cond
	queue  ring
	read   int // bytes that were read and not credited
	credit int // that we may send
	ended  bool
	err    error // nothing comes any more
	closed bool  // CloseWrite or Close
}

// connControl is a text message.
type connControl struct {
	Credit   int    `json:"credit,omitempty"`
	Accepted bool   `json:"accepted,omitempty"`
	Refused  string `json:"refused,omitempty"`
}

// NewConn returns a connection on a detached channel. The owner calls Close, and may Wait after
// that; the end of ctx breaks it off.
func NewConn(ctx context.Context, ch *Channel) *Conn {
	c := &Conn{ch: ch, ctx: ctx, done: make(chan struct{}), accepted: make(chan struct{}), credit: connWindow}
	c.more = sync.NewCond(&c.mu)
	if ch.OpenedByPeer() {
		c.send(connControl{Accepted: true})
	}
	go c.readLoop()
	return c
}

// readLoop handles what comes. It never waits for the reader of the connection.
func (c *Conn) readLoop() {
	defer close(c.done)
	defer c.acceptedOnce.Do(func() { close(c.accepted) })
	for {
		data, text, err := c.ch.Receive(c.ctx)
		if err == nil {
			c.acceptedOnce.Do(func() { close(c.accepted) })
		}
		if err == io.EOF {
			err = errEarlyEnd
		}
		if err == nil {
			err = c.handle(data, text)
		}
		if err != nil {
			c.mu.Lock()
			c.err = err
			c.more.Broadcast()
			c.mu.Unlock()
			c.ch.set.spawn(c.ch.discard)
			return
		}
	}
}

// handle handles a message.
func (c *Conn) handle(data []byte, text bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.more.Broadcast()
	switch {
	case text:
		return c.control(data)
	case len(data) == 0:
		c.ended = true
	case c.ended:
		return errors.New("the peer sent data after the end of its data")
	default:
		if c.queue.len()+len(data)+c.read > connWindow {
			return errors.New("the peer sent more than its credit")
		}
		c.queue.write(data)
	}
	return nil
}

func (c *Conn) control(data []byte) error {
	var m connControl
	if len(data) > maxControl {
		return fmt.Errorf("control message has %d bytes, want %d at most", len(data), maxControl)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return fmt.Errorf("invalid control message: %w", err)
	}
	if m.Refused != "" {
		return &RefusedError{m.Refused}
	}
	if m.Credit < 0 || m.Credit > connWindow || c.credit+m.Credit > connWindow {
		return errors.New("the peer grants more credit than was used")
	}
	c.credit += m.Credit
	return nil
}

// Read implements io.Reader. The error is io.EOF at the end, wraps io.ErrUnexpectedEOF when the
// peer broke off, is a *RefusedError, or that of the context.
func (c *Conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	for c.queue.len() == 0 && !c.ended && c.err == nil {
		c.more.Wait()
	}
	if c.queue.len() == 0 {
		defer c.mu.Unlock()
		if c.ended {
			return 0, io.EOF
		}
		return 0, c.err
	}
	n := c.queue.read(p)
	c.read += n
	grant := 0
	if c.read >= connWindow/4 && !c.ended && c.err == nil {
		grant, c.read = c.read, 0
	}
	c.mu.Unlock()
	if grant > 0 {
		c.send(connControl{Credit: grant})
	}
	return n, nil
}

// send sends a control message. An error is one of a channel that is closed, which the reader
// learns anyhow.
func (c *Conn) send(m connControl) {
	data, err := json.Marshal(m)
	if err == nil {
		_ = c.ch.Send(data, true)
	}
}

// Write implements io.Writer. It waits while the peer does not read.
func (c *Conn) Write(p []byte) (total int, err error) {
	for len(p) > 0 {
		n, err := c.spend(min(len(p), connMessage, c.ch.MaxMessage()))
		if err != nil {
			return total, err
		}
		if err := c.ch.Write(c.ctx, p[:n], false); err != nil {
			return total, err
		}
		total, p = total+n, p[n:]
	}
	return total, nil
}

// spend waits for credit, and uses up to most bytes of it.
func (c *Conn) spend(most int) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.credit == 0 && c.err == nil && !c.closed {
		c.more.Wait()
	}
	switch {
	case c.closed:
		return 0, io.ErrClosedPipe
	case c.err != nil:
		return 0, c.err
	}
	n := min(most, c.credit)
	c.credit -= n
	return n, nil
}

// CloseWrite ends our direction, once.
func (c *Conn) CloseWrite() error {
	c.mu.Lock()
	was := c.closed
	c.closed = true
	c.more.Broadcast()
	c.mu.Unlock()
	if was {
		return nil
	}
	return c.ch.Write(c.ctx, nil, false)
}

// Refuse says that there will be no connection, and closes.
func (c *Conn) Refuse(reason string) error {
	c.send(connControl{Refused: reason[:min(len(reason), maxControl/8)]})
	return c.Close()
}

// Close closes the channel. What was not read yet is lost. Without CloseWrite the peer reads
// io.ErrUnexpectedEOF.
func (c *Conn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.more.Broadcast()
	c.mu.Unlock()
	return c.ch.Close()
}

// Accepted is closed when the peer has accepted the channel, or has not and it is closed. A peer
// may lose channels of which more than a dozen wait for that: Pion drops those over 16, and SCTP
// takes seconds to send them again.
func (c *Conn) Accepted() <-chan struct{} { return c.accepted }

// Wait waits until the peer has closed the channel too, or the call is over.
func (c *Conn) Wait() { <-c.done }

// A ring is a queue of bytes. It grows as needed, to connWindow at most.
type ring struct {
	data     []byte
	start, n int // the bytes that are queued
}

func (r *ring) len() int { return r.n }

// write appends p, which fits into connWindow.
func (r *ring) write(p []byte) {
	if need := r.n + len(p); need > len(r.data) {
		data := make([]byte, min(max(need, 2*len(r.data), connMessage), connWindow))
		n := r.n
		r.read(data)
		r.data, r.start, r.n = data, 0, n
	}
	end := (r.start + r.n) % len(r.data)
	copy(r.data, p[copy(r.data[end:], p):])
	r.n += len(p)
}

// read moves up to len(p) bytes to p, and returns how many.
func (r *ring) read(p []byte) int {
	p = p[:min(len(p), r.n)]
	n := copy(p, r.data[r.start:])
	copy(p[n:], r.data)
	if r.n -= len(p); r.n > 0 {
		r.start = (r.start + len(p)) % len(r.data)
	} else {
		r.start = 0
	}
	return len(p)
}
