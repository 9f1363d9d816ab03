package source

import (
	"log/slog"
	"sync"
	"time"

	"parley/media"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// MirrorOptions are the options of a Mirror. The zero value works.
type MirrorOptions struct {
	// StreamID is as in VideoOptions.
	StreamID string

	// Logger gets what is odd. The default discards it.
	Logger *slog.Logger
}

// A Mirror is a local track that sends on what a remote track brings, without decoding it. It may be bound before
// there is a remote track, and to any codec of its kind: the payload type of each packet is that of the same codec
// among those negotiated. The other end sees one stream: sequence numbers and timestamps go on when the remote track
// changes. Header extensions are left out, for they belong to the leg they came by: their numbers, and mid, rid and
// transport-wide sequence numbers.
//
// Give it to a Receiver as ReceiverOptions.Mirror. Its requests for key frames then go to that Receiver's sender.
type Mirror struct {
	kind     webrtc.RTPCodecType
	streamID string
	log      *slog.Logger

	mu       sync.Mutex // guards what follows
	bindings []binding
	source   func() // asks the sender of the remote track for a key frame
	started  bool
	ssrc     uint32 // of the remote track
	sequence sequence
	offset   uint16 // of sequence numbers
	shift    uint32 // of timestamps
	highest  uint16 // sequence number sent
	latest   uint32 // timestamp sent
	sent     time.Time
	refused  string // codec that the log has been told of
}

// NewMirror returns a Mirror for tracks of a kind.
func NewMirror(kind webrtc.RTPCodecType, o MirrorOptions) *Mirror {
	return &Mirror{kind: kind, streamID: streamID(o.StreamID), log: logger(o.Logger)}
}

// ID implements webrtc.TrackLocal.
func (m *Mirror) ID() string { return m.kind.String() }

// RID implements webrtc.TrackLocal.
func (m *Mirror) RID() string { return "" }

// StreamID implements webrtc.TrackLocal.
func (m *Mirror) StreamID() string { return m.streamID }

// Kind implements webrtc.TrackLocal.
func (m *Mirror) Kind() webrtc.RTPCodecType { return m.kind }

// Bind implements webrtc.TrackLocal. It answers with the first codec that carries media, which is the one that the
// other end will most likely send: retransmissions on a stream of their own (RFC 4588) name its payload type.
func (m *Mirror) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	for _, codec := range c.CodecParameters() {
		if media.KindOf(codec.MimeType) != m.kind || !media.CarriesMedia(codec.MimeType) {
			continue
		}
		m.mu.Lock()
		m.bindings = append(m.bindings, newBinding(c, codec.PayloadType))
		m.mu.Unlock()
		m.RequestKeyFrame() // who has just come needs a picture to begin with
		return codec, nil
	}
	return webrtc.RTPCodecParameters{}, webrtc.ErrUnsupportedCodec
}

// Unbind implements webrtc.TrackLocal.
func (m *Mirror) Unbind(c webrtc.TrackLocalContext) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ok bool
	if m.bindings, ok = unbind(m.bindings, c.ID()); !ok {
		return webrtc.ErrUnbindFailed
	}
	return nil
}

// RequestKeyFrame implements KeyFrameRequester: the request goes to the sender of the remote track, at most twice a
// second, if there is one.
func (m *Mirror) RequestKeyFrame() {
	m.mu.Lock()
	source := m.source
	m.mu.Unlock()
	if source != nil {
		source()
	}
}

// attach says where key frames come from.
func (m *Mirror) attach(source func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.source = source
}

// WriteRTP sends a packet of the remote track on, in the order of calls. A Receiver calls it.
func (m *Mirror) WriteRTP(p *rtp.Packet, codec webrtc.RTPCodecParameters) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.follow(p, codec.ClockRate, time.Now()) {
		return
	}
	number, timestamp := p.SequenceNumber+m.offset, p.Timestamp+m.shift
	if int16(number-m.highest) >= 0 { //nolint:gosec // wraps by design
		m.highest, m.latest, m.sent = number, timestamp, time.Now()
	}
	for _, b := range m.bindings {
		match, ok := matchCodec(codec.RTPCodecCapability, b.codecs)
		if !ok {
			m.refuse(codec.MimeType)
			continue
		}
		// What a sender refuses is lost, as it would be on the network.
		_, _ = b.writer.WriteRTP(&rtp.Header{
			Version:        2,
			Padding:        p.PaddingSize > 0,
			PaddingSize:    p.PaddingSize,
			Marker:         p.Marker,
			PayloadType:    uint8(match.PayloadType),
			SequenceNumber: number,
			Timestamp:      timestamp,
			SSRC:           uint32(b.ssrc),
		}, p.Payload)
	}
}

// follow keeps the offsets such that what goes out is one stream. It says false for a packet that is not to go out.
func (m *Mirror) follow(p *rtp.Packet, clockRate uint32, now time.Time) bool {
	if m.started && p.SSRC != m.ssrc {
		m.sequence = sequence{}
	}
	anew := !m.sequence.started
	switch _, what := m.sequence.add(p.SequenceNumber); what {
	case arrivalDuplicate, arrivalStray:
		return false
	case arrivalRestart:
		anew = true
	case arrivalNew:
	}
	if !anew {
		return true
	}
	if !m.started {
		m.started, m.highest = true, p.SequenceNumber-1
	} else {
		m.offset = m.highest + 1 - p.SequenceNumber
		passed := uint32(now.Sub(m.sent).Seconds() * float64(clockRate)) //nolint:gosec // wraps by design
		m.shift = m.latest + max(1, passed) - p.Timestamp
	}
	m.ssrc = p.SSRC
	return true
}

func (m *Mirror) refuse(mime string) {
	if m.refused != mime {
		m.refused = mime
		m.log.Warn("cannot send back: the codec was not negotiated in this direction", "codec", mime)
	}
}
