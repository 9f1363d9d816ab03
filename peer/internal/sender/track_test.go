package sender

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"go.uber.org/goleak"

	"parley/peer/track"
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

// TestPauseDropsUntilAKeyFrame: what follows a pause or a mute begins with a key frame, which the
// local track is asked for.
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

// TestReplace: packets of the track that was replaced are not sent, and those of the new one begin
// with a key frame.
func TestReplace(t *testing.T) {
	b, s := &bindings{}, newStream()
	first, second := newLocalTrack(t, webrtc.MimeTypeVP8), newLocalTrack(t, webrtc.MimeTypeVP8)
	out := New(first, "video", b.config())
	if _, err := out.Bind(s); err != nil {
		t.Fatal(err)
	}
	first.write(t, 1, keyFrame+"first")
	for range 2 { // by itself as well
		if err := out.Replace(second); err != nil {
			t.Fatal(err)
		}
	}
	first.write(t, 2, keyFrame+"first")
	second.write(t, 700, deltaFrame)
	second.write(t, 701, keyFrame+"second")
	s.expect(t, keyFrame+"first", keyFrame+"second")
	if second.keyFrames == 0 {
		t.Error("the new track was not asked for a key frame")
	}
	if err := out.Replace(nil); err != nil || out.Local() != nil {
		t.Errorf("removed: got %v and error %v", out.Local(), err)
	}
	second.write(t, 702, keyFrame)
	if err := out.Unbind(s); err != nil {
		t.Error(err)
	}
	s.expect(t, keyFrame+"first", keyFrame+"second")
}

// TestReplaceFails: a track that cannot be bound changes nothing, also where nothing is bound.
func TestReplaceFails(t *testing.T) {
	b, s := &bindings{}, newStream()
	first, other := newLocalTrack(t, webrtc.MimeTypeVP8), newLocalTrack(t, webrtc.MimeTypeH264)
	out := New(first, "video", b.config())
	if _, err := out.Bind(s); err != nil {
		t.Fatal(err)
	}
	first.write(t, 1, keyFrame)
	if err := out.Replace(other); !errors.Is(err, webrtc.ErrUnsupportedCodec) {
		t.Errorf("replaced by H264: got error %v, want %v", err, webrtc.ErrUnsupportedCodec)
	}
	if out.Local() != webrtc.TrackLocal(first) {
		t.Errorf("sent: got %v, want the first track", out.Local())
	}
	first.write(t, 2, deltaFrame)
	s.expect(t, keyFrame, deltaFrame)
	if err := out.Replace(nil); err != nil {
		t.Fatal(err)
	}
	if err := out.Replace(other); err == nil || out.Local() != nil {
		t.Errorf("replaced nothing by H264: got %v and error %v", out.Local(), err)
	}
	if err := out.Replace(first); err != nil {
		t.Fatal(err)
	}
	first.write(t, 3, keyFrame)
	s.expect(t, keyFrame, deltaFrame, keyFrame)
	for i, err := range b.errs {
		if err != nil || b.tracks[i] != webrtc.TrackLocal(first) {
			t.Errorf("OnBound got %v and error %v", b.tracks[i], err)
		}
	}
}

// TestBindFails: a track whose codec was not negotiated is reported, and does not fail the
// negotiation.
func TestBindFails(t *testing.T) {
	b := &bindings{}
	out := New(newLocalTrack(t, webrtc.MimeTypeH264), "video", b.config())
	if codec, err := out.Bind(newStream()); err != nil || codec.MimeType != webrtc.MimeTypeVP8 {
		t.Errorf("bound: got %s and error %v, want VP8", codec.MimeType, err)
	}
	if len(b.errs) != 1 || !errors.Is(b.errs[0], webrtc.ErrUnsupportedCodec) {
		t.Errorf("OnBound: got %v, want %v", b.errs, webrtc.ErrUnsupportedCodec)
	}
	if err := out.Unbind(nil); err != nil {
		t.Error(err)
	}
}

// simulcastTrack has two layers.
type simulcastTrack struct {
	*localTrack
	layers []webrtc.TrackLocal
}

func (s *simulcastTrack) Layers() []webrtc.TrackLocal { return s.layers }

// TestSimulcastIsPutBack: all layers of a simulcast track that was removed are sent when it is put
// back.
func TestSimulcastIsPutBack(t *testing.T) {
	low, high := newLocalTrack(t, webrtc.MimeTypeVP8, "low"), newLocalTrack(t, webrtc.MimeTypeVP8, "high")
	source := &simulcastTrack{newLocalTrack(t, webrtc.MimeTypeVP8), []webrtc.TrackLocal{low, high}}
	b := &bindings{}
	out := New(source, "video", b.config())
	var streams []*stream
	for _, e := range out.Encodings() {
		s := newStream()
		streams = append(streams, s)
		if _, err := e.Bind(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Replace(nil); err != nil || out.Local() != nil {
		t.Fatalf("removed: got %v and error %v", out.Local(), err)
	}
	low.write(t, 1, keyFrame)
	high.write(t, 1, keyFrame)
	if err := out.Replace(source); err != nil || out.Local() != webrtc.TrackLocal(source) {
		t.Fatalf("put back: got %v and error %v", out.Local(), err)
	}
	low.write(t, 2, keyFrame+"low")
	high.write(t, 2, keyFrame+"high")
	streams[0].expect(t, keyFrame+"low")
	streams[1].expect(t, keyFrame+"high")
	if err := out.Replace(low); err == nil {
		t.Error("a simulcast track was replaced by one without layers")
	}
}

// network records the bursts that are begun and ended.
type network struct{ begun, ended int }

func (n *network) BeginBurst() { n.begun++ }
func (n *network) EndBurst()   { n.ended++ }

// TestBursts: a local track sends bursts where the network can, and needs not know whether it can.
func TestBursts(t *testing.T) {
	n := &network{}
	for _, bursts := range []track.BurstWriter{n, nil} {
		config := (&bindings{}).config()
		config.Bursts = bursts
		local := newLocalTrack(t, webrtc.MimeTypeVP8)
		s := newStream()
		out := New(local, "video", config)
		if _, err := out.Bind(s); err != nil {
			t.Fatal(err)
		}
		w, ok := out.bound.WriteStream().(track.BurstWriter)
		if !ok {
			t.Fatal("the writer of a local track has no bursts")
		}
		w.BeginBurst()
		local.write(t, 1, keyFrame)
		w.EndBurst()
		if len(s.written) != 1 {
			t.Errorf("%d packets written, want 1", len(s.written))
		}
	}
	if n.begun != 1 || n.ended != 1 {
		t.Errorf("%d bursts begun, %d ended, want 1", n.begun, n.ended)
	}
}
