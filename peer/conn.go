package peer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// ConnProtocol is the name of the protocol of a [Conn], as the opener of the
// channel tells it. The label of the channel says what it is to be connected to.
const ConnProtocol = "parley.conn"

const (
	// connWindow is how much a side sends that the other has not read, in bytes.
	connWindow = 256 << 10
	// connMessage is the size of messages at most. Messages of different channels
	// come interleaved (RFC 8260), and SCTP hands over whole ones only: when those
	// that are not whole yet fill its receive buffer, nothing moves any more. So it
	// must hold one of each connection, a thousand of them in 4 MiB.
	connMessage = 2 << 10
	// maxControl is the size of a control message at most.
	maxControl = 1024
)

// A RefusedError is the answer of a side that does not connect.
type RefusedError struct{ Reason string } // as it came: quote it before printing

func (r *RefusedError) Error() string { return "the other side refused the connection: " + r.Reason }

// A Conn is a data channel as one of many connections in a call. It differs from
// a Stream by a window of its own: channels share that of SCTP, so one that
// nobody reads would stop all others.
//
// A binary message carries bytes, and an empty one says that no more will come.
// A text message is a JSON object: {"credit":N} lets the other side send N more
// bytes, beyond the 262,144 that it may send at first; {"taken":true} comes first
// from who did not open the channel; {"refused":"reason"} says that there will be
// no connection. A side that breaks off closes the channel without an end.
//
// Each direction may be used by one goroutine.
type Conn struct {
	ch   *Channel
	ctx  context.Context
	done chan struct{} // closed when nothing comes any more

	taken     chan struct{} // closed when something came
	takenOnce sync.Once

	mu     sync.Mutex // protects following
	more   *sync.Cond
	queue  [][]byte
	queued int
	read   int // bytes that were read and not credited
	credit int // that we may send
	ended  bool
	err    error // nothing comes any more
	closed bool  // CloseWrite or Close
}

// connControl is a text message.
type connControl struct {
	Credit  int    `json:"credit,omitempty"`
	Taken   bool   `json:"taken,omitempty"`
	Refused string `json:"refused,omitempty"`
}

// NewConn makes a connection of a channel that was taken. The owner calls Close,
// and may Wait after that; the end of ctx breaks it off.
func NewConn(ctx context.Context, ch *Channel) *Conn {
	c := &Conn{ch: ch, ctx: ctx, done: make(chan struct{}), taken: make(chan struct{}), credit: connWindow}
	c.more = sync.NewCond(&c.mu)
	if ch.OpenedByPeer() {
		c.send(connControl{Taken: true})
	}
	go c.pump()
	return c
}

// pump takes what comes; it never waits for who reads.
func (c *Conn) pump() {
	defer close(c.done)
	defer c.takenOnce.Do(func() { close(c.taken) })
	for {
		data, text, err := c.ch.Receive(c.ctx)
		if err == nil {
			c.takenOnce.Do(func() { close(c.taken) })
		}
		if err == io.EOF {
			err = ErrCutOff
		}
		if err == nil {
			err = c.take(data, text)
		}
		if err != nil {
			c.mu.Lock()
			c.err = err
			c.more.Broadcast()
			c.mu.Unlock()
			_ = c.ch.Close()
			return
		}
	}
}

// take takes a message.
func (c *Conn) take(data []byte, text bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.more.Broadcast()
	switch {
	case text:
		return c.control(data)
	case len(data) == 0:
		c.ended = true
	case c.ended:
		return errors.New("data came after their end")
	default:
		if c.queued += len(data); c.queued+c.read > connWindow {
			return errors.New("the other side sends more than it may")
		}
		c.queue = append(c.queue, append([]byte(nil), data...))
	}
	return nil
}

func (c *Conn) control(data []byte) error {
	var m connControl
	if len(data) > maxControl {
		return fmt.Errorf("a control message of %d bytes came; %d are the most", len(data), maxControl)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return fmt.Errorf("a control message is no JSON object: %w", err)
	}
	if m.Refused != "" {
		return &RefusedError{m.Refused}
	}
	if m.Credit < 0 || m.Credit > connWindow || c.credit+m.Credit > connWindow {
		return errors.New("the other side grants more than was used")
	}
	c.credit += m.Credit
	return nil
}

// Read implements io.Reader. The error is io.EOF at the end, ErrCutOff when the
// other side broke off, a *RefusedError, or that of the context.
func (c *Conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	for c.queued == 0 && !c.ended && c.err == nil {
		c.more.Wait()
	}
	if c.queued == 0 {
		defer c.mu.Unlock()
		if c.ended {
			return 0, io.EOF
		}
		return 0, c.err
	}
	n := copy(p, c.queue[0])
	if c.queue[0] = c.queue[0][n:]; len(c.queue[0]) == 0 {
		c.queue[0] = nil
		c.queue = c.queue[1:]
	}
	c.queued -= n
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

// send sends a control message. An error is one of a channel that is closed,
// which whoever reads learns anyhow.
func (c *Conn) send(m connControl) {
	data, err := json.Marshal(m)
	if err == nil {
		_ = c.ch.Send(data, true)
	}
}

// Write implements io.Writer. It waits while the other side does not read.
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

// spend waits for credit, and takes most of it at most.
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

// CloseWrite says that no more will be written, once.
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

// Close closes the channel. What was not read yet is lost. Without CloseWrite
// the other side reads ErrCutOff.
func (c *Conn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.more.Broadcast()
	c.mu.Unlock()
	return c.ch.Close()
}

// Taken is closed when the other side has taken the channel, or has not and it is
// closed. A peer may lose channels of which more than a dozen wait for that: Pion
// drops those over 16, and SCTP takes seconds to send them again.
func (c *Conn) Taken() <-chan struct{} { return c.taken }

// Wait waits until the other side has closed the channel, too, or the call is
// over.
func (c *Conn) Wait() { <-c.done }
