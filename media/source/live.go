package source

import (
	"time"

	"parley/media"

	"github.com/pion/webrtc/v4"
)

// A Live is a track for frames that are encoded elsewhere and come as they come: a camera, a microphone.
//
// It is no Source by itself: whoever has the frames embeds it and adds Run and Close.
type Live struct{ *track }

// NewLive returns a track that sends frames of the codec with this MIME type: VP8, VP9, H264 or Opus as
// webrtc.MimeTypeVP8 and others name them. stream is the StreamID of VideoOptions.
func NewLive(mime, stream string) *Live {
	codec := webrtc.RTPCodecCapability{MimeType: mime, ClockRate: media.VideoClockRate}
	switch mime {
	case webrtc.MimeTypeH264:
		// Constrained baseline is what every browser takes (RFC 7742 section 6.2).
		codec.SDPFmtpLine = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
	case webrtc.MimeTypeOpus:
		codec.ClockRate, codec.Channels = media.OpusClockRate, 2
	}
	return &Live{newTrack(codec, streamID(stream), newPayloader(mime))}
}

// WriteFrame sends one encoded frame: a picture, H.264 as a byte stream, or a packet of Opus. at is the moment of its
// capture after some start, the same for all frames; frames must come in order.
func (l *Live) WriteFrame(frame []byte, at time.Duration) {
	clock := time.Duration(l.codec.ClockRate)
	// In two parts, because at*90000 would overflow after 28 hours.
	l.write(frame, uint64(at/time.Second*clock+at%time.Second*clock/time.Second))
}

// mostStill is how long a network that is full leaves a picture standing. One a while has to go: it may be full no more,
// and only what is sent finds that out.
const mostStill = 250 * time.Millisecond

// Full tells that the next picture should be left out, before it is encoded: the network of one of those who are bound
// is full.
func (l *Live) Full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.last) > mostStill {
		return false
	}
	for _, b := range l.bindings {
		if w, ok := b.writer.(interface{ Full() bool }); ok && w.Full() {
			return true
		}
	}
	return false
}

// Bound tells if anybody receives what is written.
func (l *Live) Bound() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.bindings) > 0
}
