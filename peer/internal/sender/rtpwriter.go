package sender

import (
	"fmt"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"parley/peer/track"
)

var (
	_ track.CongestionReporter = rtpWriter{}
	_ track.BurstWriter        = rtpWriter{}
)

// boundContext is what a local track is bound to: its writer is an rtpWriter.
type boundContext struct {
	webrtc.TrackLocalContext
	track *Track
}

// WriteStream implements webrtc.TrackLocalContext.
func (b *boundContext) WriteStream() webrtc.TrackLocalWriter {
	return rtpWriter{b.TrackLocalContext.WriteStream(), b, b.CodecParameters(), b.track.headerExtensions(b.TrackLocalContext)}
}

// rtpWriter writes the packets of a local track to the RTP stream of its Track, or drops them.
type rtpWriter struct {
	webrtc.TrackLocalWriter
	bound      *boundContext
	codecs     []webrtc.RTPCodecParameters
	extensions []headerExtension
}

// WriteRTP implements webrtc.TrackLocalWriter. A packet that is dropped counts as written.
func (w rtpWriter) WriteRTP(header *rtp.Header, payload []byte) (int, error) {
	t := w.bound.track
	t.writing.Lock()
	defer t.writing.Unlock()
	if t.writer != w.bound {
		return len(payload), nil // of a local track that was replaced
	}
	codec := w.codec(header.PayloadType)
	muted, video := t.muted.Load(), t.kind == webrtc.RTPCodecTypeVideo
	suppressed := t.Suppressed() || muted && video
	if suppressed {
		t.gate.close()
	}
	now := time.Now()
	if suppressed || video && !t.gate.passes(codec.MimeType, payload, now) {
		t.munger.dropPacket()
		return len(payload), nil
	}
	if muted {
		payload = silentFrame(codec.MimeType, payload)
	}
	header = t.munger.rewrite(header, codec.ClockRate, now)
	if len(w.extensions) > 0 {
		clone := header.Clone() // the extensions of the original are the local track's
		header = &clone
	}
	for _, e := range w.extensions {
		_ = header.SetExtension(e.id, e.value) // fails only for a value that SDP could not carry either
	}
	return w.TrackLocalWriter.WriteRTP(header, payload)
}

// Full implements track.CongestionReporter.
func (w rtpWriter) Full() bool { return w.bound.track.cfg.Full() }

// BeginBurst implements track.BurstWriter.
func (w rtpWriter) BeginBurst() {
	if b := w.bound.track.cfg.Bursts; b != nil {
		b.BeginBurst()
	}
}

// EndBurst implements track.BurstWriter.
func (w rtpWriter) EndBurst() {
	if b := w.bound.track.cfg.Bursts; b != nil {
		b.EndBurst()
	}
}

// Write implements webrtc.TrackLocalWriter.
func (w rtpWriter) Write(packet []byte) (int, error) {
	var p rtp.Packet
	if err := p.Unmarshal(packet); err != nil {
		return 0, fmt.Errorf("invalid RTP packet from the %s track: %w", w.bound.track.kind, err)
	}
	return w.WriteRTP(&p.Header, p.Payload)
}

func (w rtpWriter) codec(pt uint8) webrtc.RTPCodecParameters {
	for _, c := range w.codecs {
		if uint8(c.PayloadType) == pt {
			return c
		}
	}
	return webrtc.RTPCodecParameters{}
}
