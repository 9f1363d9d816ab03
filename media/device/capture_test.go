//go:build linux && cgo

package device

import (
	"context"
	"image"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// chooser is a viewer with several codecs.
type chooser struct {
	*viewer
	name   string
	codecs []webrtc.RTPCodecParameters
}

func (c *chooser) CodecParameters() []webrtc.RTPCodecParameters           { return c.codecs }
func (c *chooser) HeaderExtensions() []webrtc.RTPHeaderExtensionParameter { return nil }
func (c *chooser) ID() string                                             { return c.name }

func several(name string, mimes ...string) *chooser {
	c := &chooser{viewer: &viewer{packets: make(chan rtp.Packet, 10000)}, name: name}
	for i, mime := range mimes {
		c.codecs = append(c.codecs, webrtc.RTPCodecParameters{
			RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: mime, ClockRate: 90000}, PayloadType: webrtc.PayloadType(96 + i),
		})
	}
	return c
}

func startCaptureOf(t *testing.T, f *fakeCamera, o VideoOptions) *sharedCapture {
	t.Helper()
	o.Warn, o.Logger = warnFunc(o.Warn), logger(o.Logger)
	mimes, err := selectCodecs(o.Codec)
	if err != nil {
		t.Fatal(err)
	}
	h, err := startCapture("camera", "camera fake", mimes, f, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.close)
	return h
}

// TestBindSelectsCodec binds with several codecs. The first one that this build encodes is
// selected.
func TestBindSelectsCodec(t *testing.T) {
	h := startCaptureOf(t, newFakeCamera(160, 120), VideoOptions{})
	mimes, err := selectCodecs("")
	if err != nil {
		t.Fatal(err)
	}
	for _, first := range mimes {
		v := h.source(VideoOptions{})
		order := append([]string{webrtc.MimeTypeAV1, first}, mimes...)
		codec, err := v.Bind(several("a", order...))
		if err != nil || codec.MimeType != first || v.Codec() != first {
			t.Errorf("of %v it sends %s (%v), %v", order, codec.MimeType, v.Codec(), err)
		}
	}
	if _, err := h.source(VideoOptions{}).Bind(several("a", webrtc.MimeTypeAV1)); err == nil {
		t.Error("it sends AV1")
	}
	forced := startCaptureOf(t, newFakeCamera(160, 120), VideoOptions{Codec: webrtc.MimeTypeH264})
	if codec, err := forced.source(VideoOptions{}).Bind(several("a", webrtc.MimeTypeVP8, webrtc.MimeTypeH264)); err != nil ||
		codec.MimeType != webrtc.MimeTypeH264 {
		t.Errorf("it sends %s, %v", codec.MimeType, err)
	}
}

// TestSharedCapture runs several sources of one camera. The camera is opened once, each
// source begins with a key frame, and the camera is closed after the last one.
func TestSharedCapture(t *testing.T) {
	f := newFakeCamera(160, 120)
	h := startCaptureOf(t, f, VideoOptions{})
	one, two := h.source(VideoOptions{}), h.source(VideoOptions{})
	first := bind(t, one, h264Capability)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- one.Run(ctx) }()
	if _, key := give(t, f, first, small); !key {
		t.Error("the first call begins without a key frame")
	}
	later, hangUp := context.WithCancel(context.Background())
	go func() { ended <- two.Run(later) }()
	for used := 0; used < 2; runtime.Gosched() { // before that, the camera is closed with the first one
		h.worker.mu.Lock()
		used = h.worker.users
		h.worker.mu.Unlock()
	}
	second := several("second", webrtc.MimeTypeH264)
	if _, err := two.Bind(second); err != nil {
		t.Fatal(err)
	}
	// One frame may have been in the encoder before Bind.
	if _, key := give(t, f, second.viewer, small); !key {
		if _, key = give(t, f, second.viewer, small); !key {
			t.Error("who joins gets no key frame")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if opened, running := f.counts(); opened != 1 || running != 1 {
		t.Errorf("the camera was opened %d times, and is open %d times", opened, running)
	}
	for len(second.packets) > 0 {
		<-second.packets
	}
	give(t, f, second.viewer, small)
	hangUp()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if _, running := f.counts(); running != 0 {
		t.Error("the camera is still open after the last call")
	}
}

// TestSharedBitrate sets limits of several calls that share a stream. The lowest applies.
func TestSharedBitrate(t *testing.T) {
	h := startCaptureOf(t, newFakeCamera(160, 120), VideoOptions{Bitrate: 900_000})
	one, two := h.source(VideoOptions{}), h.source(VideoOptions{})
	bind(t, one, h264Capability)
	slow := several("slow", webrtc.MimeTypeH264)
	if _, err := two.Bind(slow); err != nil {
		t.Fatal(err)
	}
	s := h.stream(encodingKey{webrtc.MimeTypeH264, 0})
	for _, c := range []struct {
		do   func()
		want int
	}{
		{func() { one.SetBitrate(2_000_000) }, 900_000},
		{func() { two.SetBitrate(300_000) }, 300_000},
		{func() { one.SetBitrate(500_000) }, 300_000},
		{func() { _ = two.Unbind(slow) }, 500_000},
	} {
		c.do()
		if got, _ := s.takeParameters(1); got != c.want {
			t.Errorf("it sends %d bit/s, want %d", got, c.want)
		}
	}
}

func TestSimulcastLayers(t *testing.T) {
	f := newFakeCamera(320, 240)
	h := startCaptureOf(t, f, VideoOptions{Codec: webrtc.MimeTypeH264, Bitrate: 2_000_000})
	v := h.source(VideoOptions{Simulcast: true})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx) }()
	var rids []string
	var ends []*chooser
	for _, l := range v.Layers() {
		end := several(l.RID(), webrtc.MimeTypeH264)
		if _, err := l.Bind(end); err != nil {
			t.Fatal(err)
		}
		rids, ends = append(rids, l.RID()), append(ends, end)
		if l.ID() != v.ID() || l.StreamID() != v.StreamID() {
			t.Errorf("layer %s is of track %s of %s", l.RID(), l.ID(), l.StreamID())
		}
	}
	if got := strings.Join(rids, " "); got != "q h f" {
		t.Errorf("the layers are %s", got)
	}
	for _, end := range ends {
		give(t, f, end.viewer, image.Pt(320, 240))
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for halved, want := range []int{320, 160, 80} {
		if got := h.stream(encodingKey{webrtc.MimeTypeH264, halved}).encoder.Size().X; got != want {
			t.Errorf("width is %[2]d after %[1]d halvings, want %[3]d", halved, got, want)
		}
	}
}

// TestQualityScaler measures intervals of various bitrates and utilizations.
func TestQualityScaler(t *testing.T) {
	var l qualityScaler
	now := time.Unix(0, 0)
	at := func(bitrate int, share float64) step {
		l.addFrame(int(float64(bitrate) * share / 8))
		now = now.Add(measureInterval)
		return l.step(640, 480, 30, bitrate, now)
	}
	l.step(640, 480, 30, 900_000, now)
	for i, c := range []struct {
		times   int
		bitrate int
		share   float64
		want    step
	}{
		{5, 900_000, 0.9, step{0, 1}},
		{5, 200_000, 0.3, step{0, 1}}, // low utilization
		{5, 200_000, 0.9, step{0, 2}},
		{5, 100_000, 0.9, step{1, 1}},
		{5, 10_000, 0.9, step{2, 2}},
		{upscaleIntervals - 1, 900_000, 0.9, step{2, 2}}, // not yet
		{1, 900_000, 0.9, step{2, 1}},
		{upscaleIntervals, 900_000, 0.9, step{1, 2}},
		{2 * upscaleIntervals, 900_000, 0.9, step{0, 2}},
		{upscaleIntervals, 300_000, 0.9, step{0, 2}}, // hysteresis
		{upscaleIntervals, 300_000, 0.4, step{0, 1}}, // low utilization
	} {
		var got step
		for range c.times {
			got = at(c.bitrate, c.share)
		}
		if got != c.want {
			t.Fatalf("line %d, at %d bit/s, of which %.1f are used: it is %v, want %v", i, c.bitrate, c.share, got, c.want)
		}
	}
	if got := (&qualityScaler{network: 5}).step(160, 120, 30, 1, now); got.halved != 0 {
		t.Errorf("a small frame is halved %d times", got.halved)
	}
}

// TestQualityScalerFollowsLoad overuses and underuses the encoder.
func TestQualityScalerFollowsLoad(t *testing.T) {
	var l qualityScaler
	spend := func(share float64) {
		for range 20 * loadWindow {
			l.addEncodeTime(time.Duration(share*float64(time.Second)), time.Second)
		}
	}
	now := time.Unix(0, 0)
	spend(1.5)
	if got := l.step(640, 480, 30, 900_000, now); got.every == 1 && got.halved == 0 {
		t.Error("all is sent by an encoder that cannot keep up")
	}
	for range maxStep + 1 {
		spend(0.1)
	}
	if got := l.step(640, 480, 30, 900_000, now); got != (step{0, 1}) {
		t.Errorf("it is %v once the encoder has time", got)
	}
}
