package localtrack

import (
	"log/slog"
	"sync"
	"time"

	"parley/media"
	"parley/media/internal/rtpseq"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// ForwarderOptions are the options of a Forwarder. The zero value works.
type ForwarderOptions struct {
	// StreamID is the ID of the media stream, "parley" by default.
	StreamID string

	// Logger gets warnings. The default discards them.
	Logger *slog.Logger
}

// A Forwarder is a local track that sends the packets of a remote track without decoding them. It
// may be bound before there is a remote track, and to any codec of its kind: the payload type of
// each packet is that of the same codec among those negotiated. The peer receives one stream:
// sequence numbers and timestamps go on when the remote track changes. Header extensions other than
// the orientation of video are left out, because their IDs and values belong to the call that they
// came by.
//
// A receiver writes the packets, and sets the source of key frames.
type Forwarder struct {
	kind     webrtc.RTPCodecType
	streamID string
	log      *slog.Logger

	mu       sync.Mutex // guards what follows
	bindings []binding
	source   func() // requests a key frame from the sender of the remote track
	started  bool
	ssrc     uint32 // of the remote track
	sequence rtpseq.Counter
	offset   uint16 // of sequence numbers
	shift    uint32 // of timestamps
	highest  uint16 // sequence number sent
	latest   uint32 // timestamp sent
	sent     time.Time
	warned   string // codec for which a warning was logged
}

// NewForwarder returns a Forwarder for tracks of a kind.
func NewForwarder(kind webrtc.RTPCodecType, o ForwarderOptions) *Forwarder {
	return &Forwarder{kind: kind, streamID: streamIDOr(o.StreamID), log: loggerOr(o.Logger)}
}

// ID implements webrtc.TrackLocal.
func (f *Forwarder) ID() string { return f.kind.String() }

// RID implements webrtc.TrackLocal.
func (f *Forwarder) RID() string { return "" }

// StreamID implements webrtc.TrackLocal.
func (f *Forwarder) StreamID() string { return f.streamID }

// Kind implements webrtc.TrackLocal.
func (f *Forwarder) Kind() webrtc.RTPCodecType { return f.kind }

// Bind implements webrtc.TrackLocal. It returns the first codec that carries media, which is the
// codec that the peer most likely sends: retransmissions with their own SSRC (RFC 4588) name its
// payload type.
func (f *Forwarder) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	for _, codec := range c.CodecParameters() {
		if media.KindOf(codec.MimeType) != f.kind || !media.CarriesMedia(codec.MimeType) {
			continue
		}
		f.mu.Lock()
		f.bindings = append(f.bindings, newBinding(c, codec.PayloadType))
		f.mu.Unlock()
		f.RequestKeyFrame() // a new receiver starts with a key frame
		return codec, nil
	}
	return webrtc.RTPCodecParameters{}, webrtc.ErrUnsupportedCodec
}

// Unbind implements webrtc.TrackLocal.
func (f *Forwarder) Unbind(c webrtc.TrackLocalContext) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ok bool
	if f.bindings, ok = unbind(f.bindings, c.ID()); !ok {
		return webrtc.ErrUnbindFailed
	}
	return nil
}

// RequestKeyFrame requests a key frame from the sender of the remote track, if there is one. It
// never blocks.
func (f *Forwarder) RequestKeyFrame() {
	f.mu.Lock()
	source := f.source
	f.mu.Unlock()
	if source != nil {
		source()
	}
}

// SetKeyFrameSource sets the function that requests a key frame from the sender of the remote
// track.
func (f *Forwarder) SetKeyFrameSource(source func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.source = source
}

// WriteRTP forwards a packet of the remote track that was received with this codec and orientation,
// the value of its header extension urn:3gpp:video-orientation, nil for none. Packets are sent in
// the order of calls.
func (f *Forwarder) WriteRTP(p *rtp.Packet, codec webrtc.RTPCodecParameters, orientation []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.updateOffsets(p, codec.ClockRate, time.Now()) {
		return
	}
	number, timestamp := p.SequenceNumber+f.offset, p.Timestamp+f.shift
	if int16(number-f.highest) >= 0 { //nolint:gosec // wraps by design
		f.highest, f.latest, f.sent = number, timestamp, time.Now()
	}
	for _, b := range f.bindings {
		match, ok := matchCodec(codec.RTPCodecCapability, b.codecs)
		if !ok {
			f.warnCodec(codec.MimeType)
			continue
		}
		h := &rtp.Header{
			Version:        2,
			Padding:        p.PaddingSize > 0,
			PaddingSize:    p.PaddingSize,
			Marker:         p.Marker,
			PayloadType:    uint8(match.PayloadType),
			SequenceNumber: number,
			Timestamp:      timestamp,
			SSRC:           uint32(b.ssrc),
		}
		if len(orientation) > 0 && b.orientationID != 0 {
			_ = h.SetExtension(b.orientationID, orientation) // fails for an ID above 14 only
		}
		// Errors of a sender are ignored, like loss on the network.
		_, _ = b.writer.WriteRTP(h, p.Payload)
	}
}

// updateOffsets keeps the forwarded packets one stream. It returns false for a packet that must not
// be forwarded.
func (f *Forwarder) updateOffsets(p *rtp.Packet, clockRate uint32, now time.Time) bool {
	if f.started && p.SSRC != f.ssrc {
		f.sequence = rtpseq.Counter{}
	}
	anew := !f.sequence.Started()
	switch _, what := f.sequence.Add(p.SequenceNumber); what {
	case rtpseq.Duplicate, rtpseq.Stray:
		return false
	case rtpseq.Restart:
		anew = true
	case rtpseq.New:
	}
	if !anew {
		return true
	}
	if !f.started {
		f.started, f.highest = true, p.SequenceNumber-1
	} else {
		f.offset = f.highest + 1 - p.SequenceNumber
		passed := uint32(now.Sub(f.sent).Seconds() * float64(clockRate)) //nolint:gosec // wraps by design
		f.shift = f.latest + max(1, passed) - p.Timestamp
	}
	f.ssrc = p.SSRC
	return true
}

func (f *Forwarder) warnCodec(mime string) {
	if f.warned != mime {
		f.warned = mime
		f.log.Warn("cannot forward: the codec was not negotiated for sending", "codec", mime)
	}
}
