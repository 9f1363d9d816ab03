package peer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pion/webrtc/v4"
)

// defaultMessageSize is what a side takes that announces nothing (RFC 8841
// §6.1), in bytes; Pion holds to one less.
const defaultMessageSize = 64 << 10

// ChannelOptions say how a data channel is opened (RFC 8832 §5.1). The zero
// value is a reliable, ordered channel without a name.
type ChannelOptions struct {
	// Label is the name of the channel, which need not be unique.
	Label string
	// Protocol names what is spoken on it. Default: nothing.
	Protocol string
	// Unordered lets a message overtake one that was lost.
	Unordered bool
	// MaxRetransmits is how often a message is sent again before it is given up,
	// 0 to 65535. Nil: until it arrives. It excludes MaxLifetime.
	MaxRetransmits *uint16
	// MaxLifetime is for how long a message is sent again, in milliseconds up to
	// 65.535 s. 0: until it arrives.
	MaxLifetime time.Duration
	// Negotiated opens the channel without telling the other side, which has to
	// do the same with the same ID; in Config.Channels it is opened by who
	// answers, too. Pion sends on such a channel in order and reliably, whatever
	// is said above. Default: the other side is told.
	Negotiated bool
	// ID is the number of a negotiated channel, 0 to 65534.
	ID uint16
	// Taken makes who opens the channel its owner, who calls Receive. Default:
	// what comes is told by MessageReceived.
	Taken bool
}

// Check tells what is wrong with the options.
func (o *ChannelOptions) Check() error {
	switch {
	case o.MaxRetransmits != nil && o.MaxLifetime != 0:
		return errors.New("a channel is bounded by retransmissions or by a lifetime, not both")
	case o.MaxLifetime < 0 || o.MaxLifetime > 65535*time.Millisecond:
		return fmt.Errorf("the lifetime of messages is %s, it can be 65.535s at most", o.MaxLifetime)
	case o.MaxLifetime%time.Millisecond != 0:
		return fmt.Errorf("the lifetime of messages is %s, it can be whole milliseconds only", o.MaxLifetime)
	case o.Negotiated && o.ID == 65535:
		return errors.New("a channel cannot have the number 65535; 0 to 65534 are possible")
	case len(o.Label) > 65535 || len(o.Protocol) > 65535:
		return errors.New("the label or protocol of a channel is too long; 65535 bytes are possible")
	}
	return nil
}

func (o *ChannelOptions) init() *webrtc.DataChannelInit {
	ordered := !o.Unordered
	init := &webrtc.DataChannelInit{Ordered: &ordered, MaxRetransmits: o.MaxRetransmits, Protocol: &o.Protocol}
	if o.MaxLifetime > 0 {
		ms := uint16(o.MaxLifetime / time.Millisecond)
		init.MaxPacketLifeTime = &ms
	}
	if o.Negotiated {
		init.Negotiated, init.ID = &o.Negotiated, &o.ID
	}
	return init
}

// channelWanted is posted by OpenChannel.
type channelWanted struct {
	options ChannelOptions
	done    chan<- openResult // has room for one
}

type openResult struct {
	channel *Channel
	err     error
}

// OpenChannel opens one more channel in a call and waits until it can be used,
// no longer than ctx. The caller owns it: Taken is implied. Before the call is
// connected, it waits for that.
func (c *Call) OpenChannel(ctx context.Context, o ChannelOptions) (*Channel, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	o.Taken = true
	done := make(chan openResult, 1)
	c.box.post(channelWanted{o, done})
	select {
	case r := <-done:
		return r.channel, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-c.box.done:
		return nil, ErrChannelClosed
	}
}

// want opens a channel for OpenChannel.
func (c *Call) want(ctx context.Context, w channelWanted) error {
	conn, err := c.dataConnection()
	if err != nil {
		w.done <- openResult{err: err}
		return nil
	}
	if !conn.openWanted(w) {
		return nil
	}
	if !c.up {
		c.wanted = append(c.wanted, w)
	}
	d := conn.pc.LocalDescription()
	if d == nil && conn != c.conns[0] || d != nil && !strings.Contains(d.SDP, "m=application") {
		return c.negotiate(ctx, wantOffer, nil) // the first channel of the call
	}
	return nil
}

// dataConnection is the connection with the data channels, in a call that need
// not have any yet.
func (c *Call) dataConnection() (*connection, error) {
	data := func(s Section) bool { return s.Data }
	for _, conn := range c.conns {
		if !c.unbundled || slices.ContainsFunc(conn.sections, data) || slices.ContainsFunc(conn.theirs, data) {
			return conn, nil
		}
	}
	conn, err := c.extend()
	if err == nil {
		conn.wireMid = c.freeMid("d")
		conn.sections = []Section{{Data: true, Mid: conn.wireMid}}
	}
	return conn, err
}

// openWanted opens a channel for OpenChannel; false if it cannot be.
func (c *connection) openWanted(w channelWanted) bool {
	err := c.openChannel(w.options, func(ch *Channel) { w.done <- openResult{channel: ch} })
	if err != nil {
		w.done <- openResult{err: err}
	}
	return err == nil
}

// openChannels opens those of the configuration. Who answers opens only what
// both sides have to.
func (c *connection) openChannels(all []ChannelOptions, answering bool) error {
	for _, o := range all {
		if answering && !o.Negotiated {
			continue
		}
		if err := c.openChannel(o, nil); err != nil {
			return err
		}
	}
	return nil
}

// openChannel opens a channel; opened is told when it can be used.
func (c *connection) openChannel(o ChannelOptions, opened func(*Channel)) error {
	dc, err := c.pc.CreateDataChannel(o.Label, o.init())
	if err != nil {
		return fmt.Errorf("failed to open a data channel: %w", err)
	}
	ch := c.newChannel(dc, false)
	ch.taken.Store(o.Taken)
	c.watch(ch, opened)
	return nil
}
