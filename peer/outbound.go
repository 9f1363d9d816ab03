package peer

import (
	"context"
	"sync"
	"time"

	"github.com/pion/datachannel"
)

// outbound bounds what a channel has queued and not yet had acknowledged, in
// bytes and in messages: Pion keeps some 250 bytes beside each.
type outbound struct {
	turn chan struct{} // holds a token while nobody writes or flushes
	low  chan struct{} // holds a token after the queue fell to where somebody wanted it

	mu    sync.Mutex               // protects following
	total uint64                   // bytes queued ever
	count int                      // messages queued ever
	ends  [maxMessagesAhead]uint64 // total after each of the latest messages, a ring
}

const (
	// highWater is how many bytes are queued before Write waits: what the
	// fastest path that SCTP can fill holds, 600 Mbit/s with 50 ms of delay.
	highWater = 4 << 20
	// lowWater is where it goes on.
	lowWater = highWater * 3 / 4
	// maxMessagesAhead is how many messages are queued before Write waits.
	maxMessagesAhead = 4096
)

func (o *outbound) init(raw *datachannel.DataChannel) {
	o.turn, o.low = make(chan struct{}, 1), make(chan struct{}, 1)
	o.turn <- struct{}{}
	raw.OnBufferedAmountLow(func() {
		select {
		case o.low <- struct{}{}:
		default:
		}
	})
}

// Send queues one message: text, which must be valid UTF-8, or binary. It does
// not wait for the network, and has no bound: it is for lines of text and the
// like. The error wraps ErrTooLong or ErrChannelClosed, and is ErrHeld before
// Confirm.
func (c *Channel) Send(data []byte, text bool) error {
	if c.conn.held.Load() {
		return ErrHeld
	}
	if most := c.MaxMessage(); len(data) > most {
		return tooLong(len(data), most)
	}
	if _, err := c.raw.WriteDataChannel(data, text); err != nil {
		return ErrChannelClosed
	}
	c.messagesSent.Add(1)
	c.bytesSent.Add(uint64(len(data)))
	c.outgoing.sent(len(data))
	return nil
}

// sent notes a message that was queued.
func (o *outbound) sent(size int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.total += uint64(size)
	o.ends[o.count%maxMessagesAhead] = o.total
	o.count++
}

// excess tells if too much is queued, of which pending bytes are still there,
// and down to how much that has to go.
func (o *outbound) excess(pending uint64) (left uint64, much bool) {
	if pending >= highWater {
		return lowWater, true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	// Where the stream was when the oldest message of the ring had been queued:
	// what is queued still and came after that is at most the ring.
	if oldest := o.ends[o.count%maxMessagesAhead]; o.count >= maxMessagesAhead && o.total-oldest < pending {
		return o.total - o.ends[(o.count+maxMessagesAhead/2)%maxMessagesAhead], true
	}
	return 0, false
}

// pacePatience bounds pace: a channel that the other side has closed is noticed
// by reading alone, and two who send back what they hear must not wait for each
// other for good.
const pacePatience = time.Second

// pace waits while too much is on its way, as Write does, before more is read
// that may be answered: who sends and does not read what an echo says is stopped.
func (c *Channel) pace() {
	left, much := c.outgoing.excess(c.Pending())
	if !much {
		return
	}
	ctx, stop := context.WithTimeout(context.Background(), pacePatience)
	defer stop()
	if c.acquire(ctx) == nil {
		_ = c.drain(ctx, left) // later is soon enough
		c.outgoing.release()
	}
}

// Write queues one message as Send does, once there is room for it: while too
// much is on its way, and before Confirm, it waits, no longer than ctx. It copies
// the data.
func (c *Channel) Write(ctx context.Context, data []byte, text bool) error {
	if most := c.MaxMessage(); len(data) > most {
		return tooLong(len(data), most)
	}
	o := &c.outgoing
	select {
	case <-c.conn.free:
	case <-c.gone:
		return ErrChannelClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := c.acquire(ctx); err != nil {
		return err
	}
	defer o.release()
	for {
		left, much := o.excess(c.Pending())
		if !much {
			return c.Send(data, text)
		}
		if err := c.drain(ctx, left); err != nil {
			return err
		}
	}
}

// Flush waits until the other side has acknowledged all that was sent.
func (c *Channel) Flush(ctx context.Context) error {
	if err := c.acquire(ctx); err != nil {
		return err
	}
	defer c.outgoing.release()
	return c.drain(ctx, 0)
}

// Sent is the number of bytes that its owner has queued ever.
func (c *Channel) Sent() uint64 { return c.bytesSent.Load() }

// Pending is the number of bytes that the other side has not acknowledged.
func (c *Channel) Pending() uint64 { return c.raw.BufferedAmount() }

func (c *Channel) acquire(ctx context.Context) error {
	if c.over() {
		return ErrChannelClosed
	}
	select {
	case <-c.outgoing.turn:
		return nil
	case <-c.gone:
		return ErrChannelClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (o *outbound) release() { o.turn <- struct{}{} }

// drain waits until no more than left bytes are queued. Once the other side has
// closed the channel, Pion counts no more what is acknowledged: whoever receives
// learns that, and ends the wait.
func (c *Channel) drain(ctx context.Context, left uint64) error {
	c.raw.SetBufferedAmountLowThreshold(left)
	for c.raw.BufferedAmount() > left {
		select {
		case <-c.outgoing.low:
		case <-c.gone:
			return ErrChannelClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
