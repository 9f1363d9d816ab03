package datachannel

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/pion/datachannel"
)

// outbound bounds what a channel has queued and the peer has not acknowledged, in bytes and in
// messages: Pion keeps some 250 bytes beside each.
type outbound struct {
	turn chan struct{} // holds a token while nobody writes or flushes
	low  chan struct{} // holds a token after the queue fell to the threshold

	mu    sync.Mutex // guards the following
	total uint64     // bytes queued ever
	ends  []uint64   // total after each of the latest messages, a ring that grows to maxQueuedMessages
	first int        // index of the oldest of them
	count int        // how many they are
}

const (
	// highWater is how many bytes are queued on all channels of a connection before Write waits:
	// what the fastest path that SCTP can fill holds, 600 Mbit/s with 50 ms of delay.
	highWater = 4 << 20
	// minQueued is how many bytes a channel may have queued, whatever the others have, so that none
	// starves, and a sender to thousands of channels does not wait for each message.
	minQueued = 4 << 10
	// maxQueuedMessages is how many messages are queued before Write waits.
	maxQueuedMessages = 4096
)

func (o *outbound) init(raw *datachannel.DataChannel) {
	o.turn, o.low = make(chan struct{}, 1), make(chan struct{}, 1)
	o.turn <- struct{}{}
	raw.SetBufferedAmountLowThreshold(math.MaxUint64) // none: nobody waits
	raw.OnBufferedAmountLow(func() {
		select {
		case o.low <- struct{}{}:
		default:
		}
	})
}

// Send queues one message: text, which must be valid UTF-8, or binary. It does not wait for the
// network, and has no bound: it is for lines of text and the like. The error wraps ErrTooLong or
// ErrClosed, or is ErrUnverified.
func (c *Channel) Send(data []byte, text bool) error {
	select {
	case <-c.set.Verified:
	default:
		return ErrUnverified
	}
	if most := c.MaxMessage(); len(data) > most {
		return tooLong(len(data), most)
	}
	if _, err := c.raw.WriteDataChannel(data, text); err != nil {
		return ErrClosed
	}
	c.messagesSent.Add(1)
	c.bytesSent.Add(uint64(len(data)))
	c.outgoing.sent(len(data), c.raw)
	return nil
}

// sent notes a message that was queued.
func (o *outbound) sent(size int, raw *datachannel.DataChannel) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.total += uint64(size)
	if o.count == len(o.ends) {
		o.makeRoom(raw.BufferedAmount())
	}
	o.ends[(o.first+o.count)%len(o.ends)] = o.total
	o.count++
}

// makeRoom makes room for one more message: it forgets those that the peer has acknowledged, or
// grows the ring, or forgets the oldest message of maxQueuedMessages.
func (o *outbound) makeRoom(pending uint64) {
	for o.count > 0 && o.ends[o.first]+pending <= o.total {
		o.first = (o.first + 1) % len(o.ends)
		o.count--
	}
	switch {
	case len(o.ends) == maxQueuedMessages && o.count == maxQueuedMessages:
		o.first = (o.first + 1) % len(o.ends)
		o.count--
	case o.count >= len(o.ends)/2 && len(o.ends) < maxQueuedMessages:
		ends := make([]uint64, max(8, 2*len(o.ends)))
		for i := range o.count {
			ends[i] = o.ends[(o.first+i)%len(o.ends)]
		}
		o.ends, o.first = ends, 0
	}
}

// overHighWater reports whether too much is queued, and the threshold in bytes that what is queued
// on the channel has to fall to.
func (c *Channel) overHighWater() (threshold uint64, over bool) {
	pending := c.Pending()
	if pending >= minQueued && (pending >= highWater || c.dc.Transport().BufferedAmount() >= highWater) {
		return pending * 3 / 4, true
	}
	return c.outgoing.overHighWater(pending)
}

// overHighWater reports whether too many messages are queued, of which pending bytes are left, and
// the threshold in bytes that these have to fall to.
func (o *outbound) overHighWater(pending uint64) (threshold uint64, over bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.count < maxQueuedMessages {
		return 0, false
	}
	// The total after the oldest message of the ring: what is queued still and came after that is
	// at most the ring.
	if oldest := o.ends[o.first]; o.total-oldest < pending {
		return o.total - o.ends[(o.first+maxQueuedMessages/2)%maxQueuedMessages], true
	}
	return 0, false
}

// lowWaterTimeout bounds waitForLowWater: a channel that the peer has closed is noticed by reading
// alone, and two sides that send back what they receive must not wait for each other for good.
const lowWaterTimeout = time.Second

// waitForLowWater waits while too much is queued, as Write does, before more is read that may be
// answered: a peer that sends and does not read what an echo returns is stopped.
func (c *Channel) waitForLowWater() {
	threshold, over := c.overHighWater()
	if !over {
		return
	}
	ctx, stop := context.WithTimeout(context.Background(), lowWaterTimeout)
	defer stop()
	if c.acquire(ctx) == nil {
		_ = c.drain(ctx, threshold) // later is soon enough
		c.outgoing.release()
	}
}

// Write queues one message as Send does, once there is room for it: while too much is queued, and
// before Config.Verified, it waits, no longer than ctx. It copies the data.
func (c *Channel) Write(ctx context.Context, data []byte, text bool) error {
	if most := c.MaxMessage(); len(data) > most {
		return tooLong(len(data), most)
	}
	select {
	case <-c.set.Verified:
	case <-c.gone:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := c.acquire(ctx); err != nil {
		return err
	}
	defer c.outgoing.release()
	for {
		threshold, over := c.overHighWater()
		if !over {
			return c.Send(data, text)
		}
		if err := c.drain(ctx, threshold); err != nil {
			return err
		}
	}
}

// Flush waits until the peer has acknowledged all that was sent.
func (c *Channel) Flush(ctx context.Context) error {
	if err := c.acquire(ctx); err != nil {
		return err
	}
	defer c.outgoing.release()
	return c.drain(ctx, 0)
}

// Sent returns the number of bytes that were queued ever.
func (c *Channel) Sent() uint64 { return c.bytesSent.Load() }

// Pending returns the number of bytes that the peer has not acknowledged.
func (c *Channel) Pending() uint64 { return c.raw.BufferedAmount() }

func (c *Channel) acquire(ctx context.Context) error {
	if c.Closed() {
		return ErrClosed
	}
	select {
	case <-c.outgoing.turn:
		return nil
	case <-c.gone:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (o *outbound) release() { o.turn <- struct{}{} }

// drain waits until no more than threshold bytes are queued. Once the peer has closed the channel,
// Pion does not count what is acknowledged: the goroutine that receives notices the close, and ends
// the wait.
func (c *Channel) drain(ctx context.Context, threshold uint64) error {
	c.raw.SetBufferedAmountLowThreshold(threshold)
	defer c.raw.SetBufferedAmountLowThreshold(math.MaxUint64)
	for c.raw.BufferedAmount() > threshold {
		select {
		case <-c.outgoing.low:
		case <-c.gone:
			return ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
