package source

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"

	"parley/media"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"
)

// maxPayload leaves room in a packet of 1200 bytes, which every path carries (RFC 8831 section 5), for the RTP header.
const maxPayload = 1200 - 12

// track is the webrtc.TrackLocal beneath every source. It differs from webrtc.TrackLocalStaticSample in that the
// caller says the time of each frame: a source that skips a frame must not shift those after it.
type track struct {
	id, streamID string
	codec        webrtc.RTPCodecCapability

	mu        sync.Mutex // guards what follows
	bindings  []binding
	payloader rtp.Payloader
	sequence  uint16
	timeBase  uint32
	last      time.Time // of a frame
	measured  measured
}

// binding is one sender of a call.
type binding struct {
	id          string
	ssrc        webrtc.SSRC
	payloadType webrtc.PayloadType
	codecs      []webrtc.RTPCodecParameters
	writer      webrtc.TrackLocalWriter
}

// newTrack returns a track named after its kind. Sequence numbers and timestamps begin at random (RFC 3550 section 5.1).
func newTrack(codec webrtc.RTPCodecCapability, streamID string, payloader rtp.Payloader) *track {
	var random [6]byte
	_, _ = rand.Read(random[:]) // never fails, see crypto/rand
	t := &track{
		streamID:  streamID,
		codec:     codec,
		payloader: payloader,
		sequence:  binary.BigEndian.Uint16(random[:]),
		timeBase:  binary.BigEndian.Uint32(random[2:]),
	}
	t.id = t.Kind().String()
	return t
}

// newPayloader cuts frames of a codec into packets.
func newPayloader(mime string) rtp.Payloader {
	switch mime {
	case webrtc.MimeTypeVP8:
		return &codecs.VP8Payloader{EnablePictureID: true}
	case webrtc.MimeTypeVP9:
		return &codecs.VP9Payloader{}
	case webrtc.MimeTypeAV1:
		return &codecs.AV1Payloader{}
	case webrtc.MimeTypeH264:
		// Aggregating loses all but the last of several parameter sets.
		return &codecs.H264Payloader{DisableStapA: true}
	default:
		return &codecs.OpusPayloader{}
	}
}

func (t *track) ID() string                { return t.id }
func (t *track) RID() string               { return "" }
func (t *track) StreamID() string          { return t.streamID }
func (t *track) Kind() webrtc.RTPCodecType { return media.KindOf(t.codec.MimeType) }
func (t *track) Codec() string             { return t.codec.MimeType }

// Bind implements webrtc.TrackLocal.
func (t *track) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	codec, ok := matchCodec(t.codec, c.CodecParameters())
	if !ok {
		return webrtc.RTPCodecParameters{}, webrtc.ErrUnsupportedCodec
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bindings = append(t.bindings, newBinding(c, codec.PayloadType))
	return codec, nil
}

// Unbind implements webrtc.TrackLocal.
func (t *track) Unbind(c webrtc.TrackLocalContext) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var ok bool
	if t.bindings, ok = unbind(t.bindings, c.ID()); !ok {
		return webrtc.ErrUnbindFailed
	}
	return nil
}

// write sends one frame to all who are bound; ticks is its time since the start of the source in units of the clock
// rate. What a sender refuses is lost, as it would be on the network: a call that ends ends the source by its context.
func (t *track) write(frame []byte, ticks uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.measured.take(t.codec, frame, ticks, now)
	if len(t.bindings) == 0 {
		return
	}
	t.last = now
	audio := t.Kind() == webrtc.RTPCodecTypeAudio
	payloads := t.payloader.Payload(maxPayload, frame)
	for i, payload := range payloads {
		for _, b := range t.bindings {
			_, _ = b.writer.WriteRTP(&rtp.Header{
				Version:        2,
				Marker:         !audio && i == len(payloads)-1,
				PayloadType:    uint8(b.payloadType),
				SequenceNumber: t.sequence,
				Timestamp:      t.timeBase + uint32(ticks), //nolint:gosec // wraps by design
				SSRC:           uint32(b.ssrc),
			}, payload)
		}
		t.sequence++
	}
}

func newBinding(c webrtc.TrackLocalContext, pt webrtc.PayloadType) binding {
	return binding{
		id:          c.ID(),
		ssrc:        c.SSRC(),
		payloadType: pt,
		codecs:      c.CodecParameters(),
		writer:      c.WriteStream(),
	}
}

func unbind(bindings []binding, id string) ([]binding, bool) {
	for i := range bindings {
		if bindings[i].id == id {
			return append(bindings[:i], bindings[i+1:]...), true
		}
	}
	return bindings, false
}
