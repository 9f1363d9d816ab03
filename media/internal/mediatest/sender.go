package mediatest

import (
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"parley/media"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// A Sender is bound to a local track and keeps what it sends.
type Sender struct {
	// Codecs are the negotiated codecs, Extensions the negotiated header extensions.
	Codecs     []webrtc.RTPCodecParameters
	Extensions []webrtc.RTPHeaderExtensionParameter
	// Congested makes the sender report that its queue is full.
	Congested bool

	mu sync.Mutex // guards what follows
	// Packets are what the track sent, Times when it did. They are read while the track does not
	// send, or by Count.
	Packets []*rtp.Packet
	Times   []time.Time
	// Bursts are the numbers of packets that were sent in bursts. They are read like Packets.
	Bursts []int

	begun int // length of Packets at the beginning of the burst
}

// Bind binds a track to a new Sender that negotiated codecs, by default those of BrowserCodecs, and
// urn:3gpp:video-orientation.
func Bind(t testing.TB, track webrtc.TrackLocal, codecs ...webrtc.RTPCodecParameters) *Sender {
	t.Helper()
	if len(codecs) == 0 {
		codecs = BrowserCodecs()
	}
	s := &Sender{Codecs: codecs, Extensions: []webrtc.RTPHeaderExtensionParameter{{URI: media.VideoOrientationURI, ID: 4}}}
	if _, err := track.Bind(s); err != nil {
		t.Fatal(err)
	}
	return s
}

// BrowserCodecs returns the codecs that a browser offers.
func BrowserCodecs() []webrtc.RTPCodecParameters {
	video := func(mime, fmtp string, pt webrtc.PayloadType) webrtc.RTPCodecParameters {
		return webrtc.RTPCodecParameters{PayloadType: pt, RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: mime, ClockRate: media.VideoClockRate, SDPFmtpLine: fmtp}}
	}
	return []webrtc.RTPCodecParameters{
		video("video/rtx", "apt=96", 97),
		video("video/VP8", "", 96),
		video("video/VP9", "profile-id=0", 98),
		video("video/VP9", "profile-id=2", 100),
		video("video/H264", "packetization-mode=0;profile-level-id=42e01f", 108),
		video("video/H264", "packetization-mode=1;profile-level-id=42e01f", 109),
		video("video/H264", "packetization-mode=1;profile-level-id=640032", 110),
		video("video/AV1", "profile=0", 45),
		CodecParameters(webrtc.MimeTypeOpus),
	}
}

// Count returns the number of packets. It may be called while the track sends.
func (s *Sender) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.Packets)
}

// WriteRTP implements webrtc.TrackLocalWriter.
func (s *Sender) WriteRTP(h *rtp.Header, payload []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Packets = append(s.Packets, &rtp.Packet{Header: *h, Payload: slices.Clone(payload)})
	s.Times = append(s.Times, time.Now())
	return len(payload), nil
}

// CodecParameters implements webrtc.TrackLocalContext, as the following methods do.
func (s *Sender) CodecParameters() []webrtc.RTPCodecParameters { return s.Codecs }

// HeaderExtensions returns the negotiated header extensions.
func (s *Sender) HeaderExtensions() []webrtc.RTPHeaderExtensionParameter { return s.Extensions }

// SSRC returns the SSRC of the track.
func (s *Sender) SSRC() webrtc.SSRC { return 0xC0FFEE }

// SSRCRetransmission returns 0: there is no RTX.
func (s *Sender) SSRCRetransmission() webrtc.SSRC { return 0 }

// SSRCForwardErrorCorrection returns 0: there is no FEC.
func (s *Sender) SSRCForwardErrorCorrection() webrtc.SSRC { return 0 }

// WriteStream returns the Sender.
func (s *Sender) WriteStream() webrtc.TrackLocalWriter { return s }

// ID returns the ID of the binding.
func (s *Sender) ID() string { return "sender" }

// RTCPReader returns nil: no RTCP arrives.
func (s *Sender) RTCPReader() interceptor.RTCPReader { return nil }

// Write implements webrtc.TrackLocalWriter and always fails.
func (s *Sender) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// BeginBurst begins a burst, as package track describes.
func (s *Sender) BeginBurst() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun = len(s.Packets)
}

// EndBurst ends a burst.
func (s *Sender) EndBurst() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Bursts = append(s.Bursts, len(s.Packets)-s.begun)
}

// Full reports congestion, as package track asks for it.
func (s *Sender) Full() bool { return s.Congested }
