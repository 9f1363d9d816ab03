// Package localtrack packetizes encoded frames and sends them on a local WebRTC track.
package localtrack

import (
	"crypto/rand"
	"encoding/binary"
	"log/slog"
	"slices"
	"sync"
	"time"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"
)

const (
	// maxPacketSize is the largest SRTP packet in bytes, as in libwebrtc. Every path carries it
	// (RFC 8831 section 5), also inside a TURN message and over IPv6.
	maxPacketSize = 1200

	// maxPayloadSize leaves room for the RTP header (12), header extensions (4 + 24), the original
	// sequence number of a retransmission (2, RFC 4588 section 4) and the authentication tag of
	// SRTP (16, RFC 7714 section 5).
	maxPayloadSize = maxPacketSize - 12 - 28 - 2 - 16

	// maxFreeze is how long a congested network may keep video from sending a frame. Only a frame
	// that is sent finds out that the network has recovered.
	maxFreeze = 250 * time.Millisecond
)

// Track is a local track for frames that are encoded elsewhere. It implements webrtc.TrackLocal.
// Unlike webrtc.TrackLocalStaticSample it takes the time of each frame, so that a source that skips
// a frame does not shift the frames after it. Frames that are written while no sender is bound are
// counted and dropped.
type Track struct {
	id, streamID string
	codec        webrtc.RTPCodecCapability
	log          *slog.Logger

	mu         sync.Mutex // guards what follows
	bindings   []binding
	packetizer packetizer
	sequence   uint16 // at which a new binding starts
	timeBase   uint32
	lastSent   time.Time // when the latest frame was sent
	nextTicks  uint64    // end of the latest audio packet
	rotation   int
	measured   measured
}

// binding is one sender of a call.
type binding struct {
	id            string
	ssrc          webrtc.SSRC
	payloadType   webrtc.PayloadType
	codecs        []webrtc.RTPCodecParameters
	writer        webrtc.TrackLocalWriter
	orientationID uint8 // of the header extension, 0 if it was not negotiated
	singleNAL     bool  // H.264 in packetization-mode 0
	sequence      uint16
}

// Capability returns the codec capability of a MIME type such as webrtc.MimeTypeVP8 with its usual
// parameters.
func Capability(mime string) webrtc.RTPCodecCapability {
	c := webrtc.RTPCodecCapability{MimeType: mime, ClockRate: media.VideoClockRate}
	switch mime {
	case webrtc.MimeTypeH264:
		// Every browser decodes constrained baseline (RFC 7742 section 6.2).
		c.SDPFmtpLine = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
	case webrtc.MimeTypeOpus:
		c.ClockRate, c.Channels = media.OpusClockRate, 2
	}
	return c
}

// New returns a track that sends frames of a codec. streamID is the ID of its media stream,
// "parley" if empty: pages play the tracks of one stream together. Warnings go to logger unless it
// is nil. The sequence number and the timestamp start at random values (RFC 3550 section 5.1).
func New(c webrtc.RTPCodecCapability, streamID string, logger *slog.Logger) *Track {
	var random [6]byte
	_, _ = rand.Read(random[:]) // never fails, see crypto/rand
	t := &Track{
		streamID:   streamIDOr(streamID),
		codec:      c,
		log:        loggerOr(logger),
		packetizer: newPacketizer(c.MimeType),
		sequence:   binary.BigEndian.Uint16(random[:]),
		timeBase:   binary.BigEndian.Uint32(random[2:]),
	}
	t.id = t.Kind().String()
	return t
}

func streamIDOr(id string) string {
	if id == "" {
		return "parley"
	}
	return id
}

func loggerOr(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}

// ID implements webrtc.TrackLocal: it is the kind of the track.
func (t *Track) ID() string { return t.id }

// RID implements webrtc.TrackLocal.
func (t *Track) RID() string { return "" }

// StreamID implements webrtc.TrackLocal.
func (t *Track) StreamID() string { return t.streamID }

// Kind implements webrtc.TrackLocal.
func (t *Track) Kind() webrtc.RTPCodecType { return media.KindOf(t.codec.MimeType) }

// Codec returns the MIME type of the frames.
func (t *Track) Codec() string { return t.codec.MimeType }

// Capability returns the codec with its clock rate and format parameters.
func (t *Track) Capability() webrtc.RTPCodecCapability { return t.codec }

// Bind implements webrtc.TrackLocal.
func (t *Track) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	negotiated, ok := matchCodec(t.codec, c.CodecParameters())
	if !ok {
		return webrtc.RTPCodecParameters{}, webrtc.ErrUnsupportedCodec
	}
	b := newBinding(c, negotiated.PayloadType)
	b.singleNAL = media.CanonicalMIME(negotiated.MimeType) == webrtc.MimeTypeH264 &&
		same(parseFmtp(negotiated.SDPFmtpLine), nil, "packetization-mode", "0") == 1
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rotation != 0 && b.orientationID == 0 {
		t.warnRotation()
	}
	b.sequence = t.sequence
	t.bindings = append(t.bindings, b)
	return negotiated, nil
}

// Unbind implements webrtc.TrackLocal.
func (t *Track) Unbind(c webrtc.TrackLocalContext) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var ok bool
	if t.bindings, ok = unbind(t.bindings, c.ID()); !ok {
		return webrtc.ErrUnbindFailed
	}
	return nil
}

// Bound reports whether a sender is bound to the track.
func (t *Track) Bound() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.bindings) > 0
}

// SetRotation sets the clockwise rotation in degrees that displays the following frames upright: 0,
// 90, 180 or 270. Peers that negotiated urn:3gpp:video-orientation receive it; the others display
// the frames unrotated.
func (t *Track) SetRotation(degrees int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rotation = degrees
	for _, b := range t.bindings {
		if degrees != 0 && b.orientationID == 0 {
			t.warnRotation()
		}
	}
}

func (t *Track) warnRotation() {
	t.log.Warn("the peer does not accept the orientation of video and will display it rotated; encode it upright: "+
		"ffmpeg -i FILE -c:v libx264 -bf 0 -profile:v baseline OUT.mp4", "rotation", t.rotation)
}

// Congested reports whether the network of a bound sender is congested, so that the source should
// drop its next frame before encoding it. Congested is false at least once every 250 ms.
func (t *Track) Congested() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.lastSent) > maxFreeze {
		return false
	}
	for _, b := range t.bindings {
		if w, ok := b.writer.(interface{ Full() bool }); ok && w.Full() {
			return true
		}
	}
	return false
}

// WriteFrame sends one encoded frame: an access unit with start codes for H.264, a packet for Opus.
// at is the time of its capture since the start of the source; frames come in order.
func (t *Track) WriteFrame(frame []byte, at time.Duration) {
	clock := time.Duration(t.codec.ClockRate)
	// In two parts, because at*90000 would overflow after 28 hours.
	t.Write(frame, uint64(at/time.Second*clock+at%time.Second*clock/time.Second)) //nolint:gosec // not negative
}

// Write sends one encoded frame like WriteFrame; ticks is its time since the start of the source in
// units of the clock rate. Errors of a sender are ignored, like loss on the network.
func (t *Track) Write(frame []byte, ticks uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.measured.take(t.codec, frame, ticks, now)
	if len(t.bindings) == 0 {
		return
	}
	t.lastSent = now
	if t.Kind() == webrtc.RTPCodecTypeAudio {
		t.writeAudio(frame, ticks)
	} else {
		t.writeVideo(frame, ticks)
	}
}

// writeAudio sends an audio packet, split if it has several Opus frames and is too large. The
// marker bit is set on the first packet of a talkspurt (RFC 3551 section 4.1, RFC 7587 section
// 4.1).
func (t *Track) writeAudio(packet []byte, ticks uint64) {
	packets := [][]byte{packet}
	if t.codec.MimeType == webrtc.MimeTypeOpus && len(packet) > maxPayloadSize {
		packets = codec.SplitOpusPacket(packet)
	}
	for _, p := range packets {
		for i := range t.bindings {
			t.send(&t.bindings[i], p, ticks, ticks != t.nextTicks || t.measured.stats.Frames == 1, false)
		}
		t.sequence++
		if t.codec.MimeType == webrtc.MimeTypeOpus {
			ticks += uint64(codec.OpusPacketSamples(p)) //nolint:gosec // at most 5760
		} else {
			ticks += uint64(len(p)) // G.711 has one byte a sample
		}
		t.nextTicks = ticks
	}
}

// writeVideo sends the packets of a frame, of which the last has the marker bit.
func (t *Track) writeVideo(frame []byte, ticks uint64) {
	payloads := t.packetizer.Payload(maxPayloadSize, frame)
	var units [][]byte
	if slices.ContainsFunc(t.bindings, func(b binding) bool { return b.singleNAL }) {
		units = t.singleNALUnits(frame)
	}
	for i := range t.bindings {
		b, own := &t.bindings[i], payloads
		if b.singleNAL && units != nil {
			own = units
		}
		b.beginBurst()
		for n, payload := range own {
			last := n == len(own)-1
			t.send(b, payload, ticks, last, last)
		}
		b.endBurst()
	}
	t.sequence += uint16(max(len(payloads), len(units))) //nolint:gosec // wraps by design
}

// singleNALUnits returns the NAL units of a frame as payloads (RFC 6184 section 6.2), nil if one of
// them does not fit into a packet. Then the frame is sent in fragmentation units in spite of
// packetization-mode 0, which most peers that do not name a mode can read.
func (t *Track) singleNALUnits(frame []byte) [][]byte {
	var units [][]byte
	for nal := range codec.NALUnits(frame) {
		if codec.NALType(nal) == codec.NALAUD {
			continue
		}
		if len(nal) > maxPayloadSize {
			if !t.measured.tooLarge {
				t.measured.tooLarge = true
				t.log.Warn("the peer accepts H.264 in packetization-mode 0 only, and may be unable to decode NAL units that do not "+
					"fit into a packet; encode with slices: ffmpeg -i FILE -c:v libx264 -bf 0 -profile:v baseline -x264-params slice-max-size=1100 OUT",
					"size", len(nal), "max", maxPayloadSize)
			}
			return nil
		}
		units = append(units, nal)
	}
	return units
}

// send sends one packet to one sender.
func (t *Track) send(b *binding, payload []byte, ticks uint64, marker, oriented bool) {
	h := &rtp.Header{
		Version:        2,
		Marker:         marker,
		PayloadType:    uint8(b.payloadType),
		SequenceNumber: b.sequence,
		Timestamp:      t.timeBase + uint32(ticks), //nolint:gosec // wraps by design
		SSRC:           uint32(b.ssrc),
	}
	if oriented && b.orientationID != 0 {
		// Two bits count the rotation in steps of 90 degrees; camera and flip stay 0.
		_ = h.SetExtension(b.orientationID, []byte{byte(t.rotation / 90 & 3)}) // fails for an ID above 14 only
	}
	b.sequence++
	_, _ = b.writer.WriteRTP(h, payload)
}

// burstWriter is a sender that sends several packets at once (parley/peer/track.BurstWriter).
type burstWriter interface {
	BeginBurst()
	EndBurst()
}

// beginBurst lets the sender send the packets that follow at once, in endBurst.
func (b *binding) beginBurst() {
	if w, ok := b.writer.(burstWriter); ok {
		w.BeginBurst()
	}
}

// endBurst sends the packets since beginBurst.
func (b *binding) endBurst() {
	if w, ok := b.writer.(burstWriter); ok {
		w.EndBurst()
	}
}

func newBinding(c webrtc.TrackLocalContext, pt webrtc.PayloadType) binding {
	b := binding{
		id:          c.ID(),
		ssrc:        c.SSRC(),
		payloadType: pt,
		codecs:      c.CodecParameters(),
		writer:      c.WriteStream(),
	}
	for _, e := range c.HeaderExtensions() {
		if e.URI == media.VideoOrientationURI && e.ID > 0 && e.ID < 256 {
			b.orientationID = uint8(e.ID)
		}
	}
	return b
}

func unbind(bindings []binding, id string) ([]binding, bool) {
	for i := range bindings {
		if bindings[i].id == id {
			return append(bindings[:i], bindings[i+1:]...), true
		}
	}
	return bindings, false
}

// packetizer splits a frame into RTP payloads.
type packetizer interface {
	Payload(mtu uint16, frame []byte) [][]byte
}

func newPacketizer(mime string) packetizer {
	switch mime {
	case webrtc.MimeTypeVP8:
		return &codecs.VP8Payloader{EnablePictureID: true}
	case webrtc.MimeTypeVP9:
		return &codecs.VP9Payloader{}
	case webrtc.MimeTypeAV1:
		return &codecs.AV1Payloader{}
	case webrtc.MimeTypeH264:
		// Aggregation loses all but the last of several parameter sets.
		return &codecs.H264Payloader{DisableStapA: true}
	default:
		return &codecs.OpusPayloader{}
	}
}
