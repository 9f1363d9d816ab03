package datachannel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/datachannel"
	"github.com/pion/webrtc/v4"
)

// MaxMessageSize is the largest message that is announced and received, in bytes: what Chromium
// announces. Pion's own 1 GiB would let one message block the association for good.
const MaxMessageSize = 256 << 10

// defaultMessageSize is what a peer receives that announces nothing (RFC 8841 section 6.1), in
// bytes. Pion holds to one less.
const defaultMessageSize = 64 << 10

// A Channel is an open data channel. Its methods may be called from any goroutine; one at a time
// may receive.
//
// Its messages are handed to Config.OnMessage, unless the channel is detached: then its owner calls
// Receive. A detached channel that nobody reads stops its sender, and in time every sender of the
// connection, for all its channels share one receive window.
type Channel struct {
	dc       *webrtc.DataChannel
	set      *Set
	byPeer   bool
	idIsOurs bool // from ids
	detached atomic.Bool

	raw        *datachannel.DataChannel // set before anybody gets the channel
	opening    sync.Once
	unreported atomic.Bool // its opening is not reported, nor is its end
	closing    sync.Once
	reset      atomic.Bool   // the peer has reset its direction
	gone       chan struct{} // closed when nothing can be sent or received any more
	start      [16]byte      // where the goroutine that receives waits for a message
	held       *[]byte       // the buffer of its last message; nil: it is in start
	outgoing   outbound

	messagesSent, messagesReceived, bytesSent, bytesReceived atomic.Uint64
}

// Why a message was not sent.
var (
	// ErrTooLong is the reason of a message that is longer than the peer receives.
	ErrTooLong = errors.New("message is too long")
	// ErrClosed is the reason when the channel, or the call, is over.
	ErrClosed = errors.New("data channel is closed")
	// ErrUnverified is the reason of a message that was not sent because the peer has to be
	// verified first, see Config.Verified.
	ErrUnverified = errors.New("nothing is sent before the verification code is confirmed")
)

// Label returns the name that the opener gave the channel. The peer's is unchecked: quote it before
// printing.
func (c *Channel) Label() string { return c.dc.Label() }

// Protocol returns the name of the subprotocol, "" if its opener named none. The peer's is
// unchecked.
func (c *Channel) Protocol() string { return c.dc.Protocol() }

// ID returns the stream identifier of the channel (RFC 8832 section 6).
func (c *Channel) ID() uint16 {
	if id := c.dc.ID(); id != nil {
		return *id
	}
	return 0
}

// Negotiated reports whether both sides open the channel, without a message to the peer.
func (c *Channel) Negotiated() bool { return c.dc.Negotiated() }

// Options returns those that the channel was opened with.
func (c *Channel) Options() Options {
	o := Options{
		Label: c.Label(), Protocol: c.Protocol(), Unordered: !c.dc.Ordered(), MaxRetransmits: c.dc.MaxRetransmits(),
		Negotiated: c.Negotiated(), ID: c.ID(), Detached: c.Detached(),
	}
	if ms := c.dc.MaxPacketLifeTime(); ms != nil {
		o.MaxLifetime = time.Duration(*ms) * time.Millisecond
	}
	return o
}

// OpenedByPeer reports whether the peer opened the channel.
func (c *Channel) OpenedByPeer() bool { return c.byPeer }

// Detach makes the caller the owner of the channel, who calls Receive. It may be called during
// OnOpen, and until StartReading, on a channel that the peer opened.
func (c *Channel) Detach() { c.detached.Store(true) }

// Detached reports whether the channel has an owner.
func (c *Channel) Detached() bool { return c.detached.Load() }

// MaxMessage returns the length of the longest message that may be sent, in bytes: what the peer
// announced, 64 KiB if it announced nothing (RFC 8841 section 6.1), and MaxMessageSize at most.
func (c *Channel) MaxMessage() int {
	if t := c.dc.Transport(); t != nil {
		if most := int(t.GetCapabilities().MaxMessageSize); most > 0 {
			return min(most, MaxMessageSize)
		}
	}
	return defaultMessageSize
}

// Receive waits for the next message of a detached channel. The data are valid until the next call.
// The error is io.EOF once the peer has closed the channel, or the call is over, and everything
// before that was read; else that of ctx.
func (c *Channel) Receive(ctx context.Context) (data []byte, text bool, err error) {
	if ctx.Done() != nil {
		interrupted := make(chan struct{})
		stop := context.AfterFunc(ctx, func() { c.interrupt(); close(interrupted) })
		defer func() {
			if !stop() {
				<-interrupted
				_ = c.raw.SetReadDeadline(time.Time{})
			}
		}()
	}
	for {
		data, text, err = c.read()
		switch {
		case err == nil:
			return data, text, nil
		case c.Closed():
			return nil, false, io.EOF
		case ctx.Err() != nil:
			return nil, false, ctx.Err()
		case !errors.Is(err, os.ErrDeadlineExceeded):
			c.end()
			return nil, false, io.EOF
		}
		// The interruption of an earlier read, which Pion carries out later.
		_ = c.raw.SetReadDeadline(time.Time{})
		if c.Closed() { // and so has interrupted again, in vain
			c.interrupt()
		}
	}
}

// Closed reports whether the channel has ended.
func (c *Channel) Closed() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// interrupt ends the read that is running.
func (c *Channel) interrupt() { _ = c.raw.SetReadDeadline(time.Unix(1, 0)) }

// read returns the next message, in a buffer that the next call, or release, gives back. While it
// waits, it holds none: most channels wait most of the time.
func (c *Channel) read() ([]byte, bool, error) {
	c.release()
	buffer := c.start[:] // also holds the acknowledgement of the opening
	n, text, err := c.raw.ReadDataChannel(buffer)
	if errors.Is(err, io.ErrShortBuffer) { // nothing was read
		c.held = c.set.buffers.Get().(*[]byte)
		buffer = *c.held
		n, text, err = c.raw.ReadDataChannel(buffer)
		if errors.Is(err, io.ErrShortBuffer) && len(buffer) < MaxMessageSize {
			buffer = make([]byte, MaxMessageSize)
			*c.held = buffer
			n, text, err = c.raw.ReadDataChannel(buffer)
		}
	}
	if err != nil {
		c.release()
		if errors.Is(err, io.EOF) {
			c.reset.Store(true)
		}
		return nil, false, err
	}
	c.messagesReceived.Add(1)
	c.bytesReceived.Add(uint64(n))
	return buffer[:n], text, nil
}

// release gives back the buffer of the last message.
func (c *Channel) release() {
	if c.held != nil {
		c.set.buffers.Put(c.held)
		c.held = nil
	}
}

// Close closes the channel once what was sent before has gone. The peer reads that first, and
// closes in turn.
func (c *Channel) Close() error { return c.raw.Close() }

// Done is closed when the channel has ended: the peer closed it, which is noticed by reading, or
// the call is over.
func (c *Channel) Done() <-chan struct{} { return c.gone }

// end makes the channel unusable and reports that, once.
func (c *Channel) end() {
	c.closing.Do(func() {
		close(c.gone)
		_ = c.raw.Close() // answers the peer's close; an error is of a connection that is closed
		c.set.forget(c)
		if !c.unreported.Load() {
			c.set.OnClose(c)
		}
	})
}

// Stats are the counters of a channel (W3C RTCDataChannelStats).
type Stats struct {
	Label                          string
	MessagesSent, MessagesReceived uint64
	BytesSent, BytesReceived       uint64
}

// Stats returns the counters. They are our own, because Pion's GetStats is not safe beside a
// connection that the peer closes.
func (c *Channel) Stats() Stats {
	return Stats{
		Label:        c.Label(),
		MessagesSent: c.messagesSent.Load(), MessagesReceived: c.messagesReceived.Load(),
		BytesSent: c.bytesSent.Load(), BytesReceived: c.bytesReceived.Load(),
	}
}

// tooLong returns the error of a message that is not sent.
func tooLong(size, most int) error {
	return fmt.Errorf("%w: %d bytes, and the peer receives %d at most", ErrTooLong, size, most)
}
