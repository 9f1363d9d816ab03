package datachannel

import (
	"errors"
	"fmt"
	"time"

	"github.com/pion/webrtc/v4"
)

// Options say how a data channel is opened (RFC 8832 section 5.1). The zero value is a reliable,
// ordered channel without a label.
type Options struct {
	// Label is the name of the channel. It need not be unique.
	Label string
	// Protocol is the name of the subprotocol. Default: none.
	Protocol string
	// Unordered lets a message overtake one that was lost.
	Unordered bool
	// MaxRetransmits is how often a message is sent again before it is dropped. Nil: until it
	// arrives. It excludes MaxLifetime.
	MaxRetransmits *uint16
	// MaxLifetime is for how long a message is sent again, in whole milliseconds up to 65.535 s.
	// 0: until it arrives.
	MaxLifetime time.Duration
	// Negotiated opens the channel without a message to the peer, which has to open it with the
	// same ID. Pion sends on such a channel in order and reliably, whatever is set above. Default:
	// the peer is sent a DATA_CHANNEL_OPEN message.
	Negotiated bool
	// ID is the stream identifier of a negotiated channel, 0 to 65534.
	ID uint16
	// Detached makes the opener the owner of the channel, who calls Receive. Default: messages are
	// handed to Config.OnMessage.
	Detached bool
}

// Check returns what is wrong with the options, nil if nothing is.
func (o *Options) Check() error {
	switch {
	case o.MaxRetransmits != nil && o.MaxLifetime != 0:
		return errors.New("data channel has both a maximum of retransmissions and a maximum lifetime; want one")
	case o.MaxLifetime < 0 || o.MaxLifetime > 65535*time.Millisecond:
		return fmt.Errorf("maximum lifetime is %s, want up to 65.535s", o.MaxLifetime)
	case o.MaxLifetime%time.Millisecond != 0:
		return fmt.Errorf("maximum lifetime is %s, want whole milliseconds", o.MaxLifetime)
	case o.Negotiated && o.ID == 65535:
		return errors.New("data channel ID is 65535, want 0 to 65534")
	case len(o.Label) > 65535 || len(o.Protocol) > 65535:
		return errors.New("data channel label or protocol is longer than 65535 bytes")
	}
	return nil
}

func (o *Options) init() *webrtc.DataChannelInit {
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
