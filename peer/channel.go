package peer

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

// A Channel is an open data channel of a call. Its methods may be called from
// any goroutine; one at a time may receive.
//
// What comes is either told as MessageReceived events, or taken by its owner,
// who then calls Receive: a channel is taken with ChannelOptions.Taken by who
// opens it, and with Take by who does not. A channel that was taken and is not
// read stops its sender, and in time everybody who sends in this call, for all
// channels of a call share one window.
type Channel struct {
	dc     *webrtc.DataChannel
	conn   *connection
	byPeer bool
	taken  atomic.Bool

	raw      *datachannel.DataChannel // set before the channel is told to anybody
	opening  sync.Once
	closing  sync.Once
	gone     chan struct{} // closed when nothing can be sent or received any more
	buffer   []byte        // of the one who receives
	outgoing outbound

	messagesSent, messagesReceived, bytesSent, bytesReceived atomic.Uint64
}

// Why a message was not sent.
var (
	// ErrTooLong is the reason of a message that the other side would not take.
	ErrTooLong = errors.New("the message is too long")
	// ErrChannelClosed is the reason when the channel, or the call, is over.
	ErrChannelClosed = errors.New("the data channel is closed")
)

// Label is the name that its opener gave the channel. It comes from the other
// side as it is: quote it before printing.
func (c *Channel) Label() string { return c.dc.Label() }

// Protocol is the name of the protocol on the channel, "" if its opener named
// none. It comes from the other side as it is.
func (c *Channel) Protocol() string { return c.dc.Protocol() }

// ID is the number of the channel in its call (RFC 8832 §6).
func (c *Channel) ID() uint16 {
	if id := c.dc.ID(); id != nil {
		return *id
	}
	return 0
}

// Options are those that the channel was opened with.
func (c *Channel) Options() ChannelOptions {
	o := ChannelOptions{
		Label: c.Label(), Protocol: c.Protocol(), Unordered: !c.dc.Ordered(), MaxRetransmits: c.dc.MaxRetransmits(),
		Negotiated: c.dc.Negotiated(), ID: c.ID(), Taken: c.taken.Load(),
	}
	if ms := c.dc.MaxPacketLifeTime(); ms != nil {
		o.MaxLifetime = time.Duration(*ms) * time.Millisecond
	}
	return o
}

// OpenedByPeer tells whether the other side opened the channel.
func (c *Channel) OpenedByPeer() bool { return c.byPeer }

// Take makes the caller the owner of what comes by a channel. It may be called
// while ChannelOpened is told, on a channel that the peer opened.
func (c *Channel) Take() { c.taken.Store(true) }

// MaxMessage is the largest message that both sides take, in bytes: what the
// other side announced, 64 KiB if it announced nothing (RFC 8841 §6.1), and no
// more than 256 KiB.
func (c *Channel) MaxMessage() int {
	if t := c.dc.Transport(); t != nil {
		if most := int(t.GetCapabilities().MaxMessageSize); most > 0 {
			return min(most, maxMessageSize)
		}
	}
	return defaultMessageSize
}

// Receive waits for the next message of a channel that was taken. The data are
// valid until the next call. The error is io.EOF once the other side has closed
// the channel, or the call is over, and everything before that was read; else
// that of ctx.
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
		case c.over():
			return nil, false, io.EOF
		case ctx.Err() != nil:
			return nil, false, ctx.Err()
		case !errors.Is(err, os.ErrDeadlineExceeded):
			c.end()
			return nil, false, io.EOF
		}
		// The interruption of an earlier read, which Pion carries out later.
		_ = c.raw.SetReadDeadline(time.Time{})
		if c.over() { // and so has interrupted again, in vain
			c.interrupt()
		}
	}
}

func (c *Channel) over() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// interrupt ends the read that is under way.
func (c *Channel) interrupt() { _ = c.raw.SetReadDeadline(time.Unix(1, 0)) }

// read returns the next message, in a buffer that the next read takes again.
func (c *Channel) read() ([]byte, bool, error) {
	if c.buffer == nil {
		c.buffer = make([]byte, defaultMessageSize)
	}
	n, text, err := c.raw.ReadDataChannel(c.buffer)
	if errors.Is(err, io.ErrShortBuffer) && len(c.buffer) < maxMessageSize {
		c.buffer = make([]byte, maxMessageSize)
		n, text, err = c.raw.ReadDataChannel(c.buffer)
	}
	if err != nil {
		return nil, false, err
	}
	c.messagesReceived.Add(1)
	c.bytesReceived.Add(uint64(n))
	return c.buffer[:n], text, nil
}

// Close closes the channel once what was sent before has gone. The other side
// reads that first, and closes in turn.
func (c *Channel) Close() error {
	return c.raw.Close()
}

// Done is closed when the channel has ended: the other side closed it, which is
// noticed by reading, or the call is over.
func (c *Channel) Done() <-chan struct{} { return c.gone }

// end makes the channel unusable and tells so, once.
func (c *Channel) end() {
	c.closing.Do(func() {
		close(c.gone)
		_ = c.raw.Close() // answers the other side's close; an error is of a call that is over
		c.conn.forget(c)
		c.conn.post(channelClosed{c})
	})
}

// tooLong explains a message that is not sent.
func tooLong(size, most int) error {
	return fmt.Errorf("%w: %d bytes, and the other side takes %d at most", ErrTooLong, size, most)
}
