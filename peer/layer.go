package peer

import (
	"fmt"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"parley/peer/track"
)

func layersOf(t webrtc.TrackLocal) []webrtc.TrackLocal {
	if l, ok := t.(track.Simulcast); ok {
		return l.Layers()
	}
	return nil
}

// layer is what an outgoing track is of a layered one.
type layer struct {
	of     webrtc.TrackLocal
	others []*outgoing            // the layers beside the first, which speaks for all
	first  *outgoing              // nil for the first
	place  *webrtc.RTPTransceiver // which is not looked for where Pion binds: it may hold the lock of the list, and wait for us
}

// speaks tells if the track is to be told of: one of several layers is.
func (o *outgoing) speaks() bool { return o.layer == nil || o.layer.first == nil }

type rtcpReader func() ([]rtcp.Packet, interceptor.Attributes, error)

// sendLayers adds the layers of a track, of which out is the first.
func (c *connection) sendLayers(out *outgoing, sender *webrtc.RTPSender, layers []webrtc.TrackLocal) error {
	var place *webrtc.RTPTransceiver
	for _, t := range c.pc.GetTransceivers() {
		if t.Sender() == sender {
			place = t
		}
	}
	out.layer.place = place
	for _, l := range layers[1:] {
		other := newOutgoing(l, c.post, c.held, c.bw.CongestionWindowFull)
		other.id, other.layer, other.rate = out.id, &layer{of: out.layer.of, first: out, place: place}, out.rate
		if err := sender.AddEncoding(other); err != nil {
			return fmt.Errorf("failed to add layer %s of the %s track: %w", l.RID(), l.Kind(), err)
		}
		out.layer.others = append(out.layer.others, other)
	}
	for _, l := range append([]*outgoing{out}, out.layer.others...) {
		c.listen(func() ([]rtcp.Packet, interceptor.Attributes, error) { return sender.ReadSimulcastRTCP(l.RID()) }, l)
	}
	return nil
}

// mark is a header extension that is the same in all packets of a layer.
type mark struct {
	id    uint8
	value []byte
}

// marks say which layer packets are of, which Pion leaves to who writes them (RFC 8852 §3).
func (o *outgoing) marks(ctx webrtc.TrackLocalContext) []mark {
	if o.layer == nil {
		return nil
	}
	var all []mark
	for _, e := range ctx.HeaderExtensions() {
		switch e.URI {
		case sdp.SDESMidURI:
			all = append(all, mark{uint8(e.ID), []byte(o.layer.place.Mid())})
		case sdp.SDESRTPStreamIDURI:
			all = append(all, mark{uint8(e.ID), []byte(o.RID())})
		}
	}
	return all
}
