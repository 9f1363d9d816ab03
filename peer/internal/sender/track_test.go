package sender

import (
	"slices"
	"sync/atomic"
	"testing"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stream is the RTP stream of a track as Pion binds it.
type stream struct {
	ssrc    webrtc.SSRC
	codecs  []webrtc.RTPCodecParameters
	written []rtp.Packet
}

func (s *stream) CodecParameters() []webrtc.RTPCodecParameters { return s.codecs }
func (s *stream) HeaderExtensions() []webrtc.RTPHeaderExtensionParameter {
	return nil
}
func (s *stream) SSRC() webrtc.SSRC                       { return s.ssrc }
func (s *stream) SSRCRetransmission() webrtc.SSRC         { return 0 }
func (s *stream) SSRCForwardErrorCorrection() webrtc.SSRC { return 0 }
func (s *stream) WriteStream() webrtc.TrackLocalWriter    { return s }
func (s *stream) ID() string                              { return "stream" }
func (s *stream) RTCPReader() interceptor.RTCPReader      { return nil }
func (s *stream) Write([]byte) (int, error)               { panic("not used") }
func (s *stream) WriteRTP(h *rtp.Header, payload []byte) (int, error) {
	s.written = append(s.written, rtp.Packet{Header: *h, Payload: slices.Clone(payload)})
	return len(payload), nil
}

// newStream returns a stream for which VP8 was negotiated.
func newStream() *stream {
	vp8 := webrtc.RTPCodecParameters{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, PayloadType: 96}
	return &stream{ssrc: 7, codecs: []webrtc.RTPCodecParameters{vp8}}
}

// bindings records what OnBound got.
type bindings struct {
	tracks []webrtc.TrackLocal
	errs   []error
}

func (b *bindings) config() Config {
	return Config{
		Held: &atomic.Bool{}, Full: func() bool { return false },
		OnBound: func(t webrtc.TrackLocal, _ webrtc.RTPCodecParameters, err error) {
			b.tracks, b.errs = append(b.tracks, t), append(b.errs, err)
		},
	}
}

// localTrack records what the call asks of it.
type localTrack struct {
	*webrtc.TrackLocalStaticRTP
	keyFrames int
	losses    []float64
}

func (l *localTrack) RequestKeyFrame()      { l.keyFrames++ }
func (l *localTrack) SetLoss(share float64) { l.losses = append(l.losses, share) }

func newLocalTrack(t *testing.T, mime string, rid ...string) *localTrack {
	t.Helper()
	var options []func(*webrtc.TrackLocalStaticRTP)
	for _, r := range rid {
		options = append(options, webrtc.WithRTPStreamID(r))
	}
	l, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime}, "video", "parley", options...)
	if err != nil {
		t.Fatal(err)
	}
	return &localTrack{TrackLocalStaticRTP: l}
}

const keyFrame, deltaFrame = "\x10\x10", "\x10\x11"

func (l *localTrack) write(t *testing.T, sequence uint16, payload string) {
	t.Helper()
	p := rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: sequence, Timestamp: uint32(sequence) * 3000}, Payload: []byte(payload)}
	if err := l.WriteRTP(&p); err != nil {
		t.Fatal(err)
	}
}

func (s *stream) expect(t *testing.T, payloads ...string) {
	t.Helper()
	var got []string
	for i, p := range s.written {
		got = append(got, string(p.Payload))
		if i > 0 && p.SequenceNumber != s.written[i-1].SequenceNumber+1 {
			t.Errorf("packet %d has sequence number %d after %d", i, p.SequenceNumber, s.written[i-1].SequenceNumber)
		}
	}
	if !slices.Equal(got, payloads) {
		t.Errorf("written: got %q, want %q", got, payloads)
	}
}

// TestPauseDropsUntilAKeyFrame: what follows a pause or a mute begins with a key frame, which the local track is asked for.
func TestPauseDropsUntilAKeyFrame(t *testing.T) {
	for name, set := range map[string]func(*Track, bool){"paused": (*Track).SetPaused, "muted": (*Track).SetMuted} {
		t.Run(name, func(t *testing.T) {
			b, s, local := &bindings{}, newStream(), newLocalTrack(t, webrtc.MimeTypeVP8)
			out := New(local, "video", b.config())
			if _, err := out.Bind(s); err != nil {
				t.Fatal(err)
			}
			local.write(t, 1, keyFrame)
			set(out, true)
			local.write(t, 2, keyFrame)
			set(out, false)
			local.write(t, 3, deltaFrame)
			local.write(t, 4, keyFrame)
			local.write(t, 5, deltaFrame)
			s.expect(t, keyFrame, keyFrame, deltaFrame)
			if local.keyFrames != 1 {
				t.Errorf("%d key frames were requested, want 1", local.keyFrames)
			}
		})
	}
}

// TestReportLoss: only the report blocks of its own SSRC reach a track.
func TestReportLoss(t *testing.T) {
	b, local := &bindings{}, newLocalTrack(t, webrtc.MimeTypeVP8)
	out := New(local, "video", b.config())
	if _, err := out.Bind(newStream()); err != nil {
		t.Fatal(err)
	}
	out.reportLoss([]rtcp.ReceptionReport{{SSRC: 8, FractionLost: 255}, {SSRC: 7, FractionLost: 64}})
	if !slices.Equal(local.losses, []float64{0.25}) {
		t.Errorf("loss: got %v, want 0.25", local.losses)
	}
}
