package sender

import (
	"sync/atomic"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"parley/peer/track"
)

func layersOf(t webrtc.TrackLocal) []webrtc.TrackLocal {
	if s, ok := t.(track.Simulcast); ok {
		return s.Layers()
	}
	return nil
}

// simulcast is what the encodings of a simulcast track have in common.
type simulcast struct {
	source    webrtc.TrackLocal
	encodings []*Track // never changes
	// Bind does not look for the transceiver: it may be called with the lock of Pion's list held.
	transceiver atomic.Pointer[webrtc.RTPTransceiver]
}

// Encodings returns the encodings of a simulcast track if t is the first of them, else t alone.
func (t *Track) Encodings() []*Track {
	if t.simulcast != nil && t.first() {
		return t.simulcast.encodings
	}
	return []*Track{t}
}

// First returns the first encoding of a simulcast track, else t.
func (t *Track) First() *Track {
	if t.simulcast != nil {
		return t.simulcast.encodings[0]
	}
	return t
}

func (t *Track) first() bool { return t.First() == t }

// SetTransceiver sets the transceiver of the encodings of t. Call it before they are bound.
func (t *Track) SetTransceiver(tr *webrtc.RTPTransceiver) {
	if t.simulcast != nil {
		t.simulcast.transceiver.Store(tr)
	}
}

// headerExtension is an RTP header extension with the same value in all packets of an encoding.
type headerExtension struct {
	id    uint8
	value []byte
}

// headerExtensions returns those that name the encoding, which Pion leaves to the writer (RFC 8852
// section 3).
func (t *Track) headerExtensions(ctx webrtc.TrackLocalContext) []headerExtension {
	if t.simulcast == nil {
		return nil
	}
	var all []headerExtension
	for _, e := range ctx.HeaderExtensions() {
		switch e.URI {
		case sdp.SDESMidURI:
			if tr := t.simulcast.transceiver.Load(); tr != nil {
				all = append(all, headerExtension{uint8(e.ID), []byte(tr.Mid())})
			}
		case sdp.SDESRTPStreamIDURI:
			all = append(all, headerExtension{uint8(e.ID), []byte(t.rid)})
		}
	}
	return all
}
