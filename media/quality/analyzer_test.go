package quality

import (
	"bytes"
	"cmp"
	"image"
	"math"
	"strconv"
	"testing"
	"time"

	"parley/media"
	"parley/media/pixel"
	"parley/media/testsignal"

	"github.com/deepteams/webp"
	"github.com/pion/webrtc/v4"
)

// impairment is what a network does to test video and audio.
type impairment struct {
	delay      time.Duration // of both
	videoDelay time.Duration // beyond that
	video      func(frame uint32) (shown uint32, ok bool)
	drop       func(packet int) bool // of audio
	quality    float32               // of the video encoder
	smaller    bool
}

// analyze returns the report on six seconds of impaired test signals, with their epoch known to the
// Analyzer or not.
func analyze(t *testing.T, p impairment, known bool) Report {
	t.Helper()
	const rate, seconds = 10, 6
	epoch := testsignal.NewEpoch()
	options := AnalyzerOptions{}
	if known {
		options = AnalyzerOptions{Epoch: epoch, FrameRate: rate, Width: 64, Height: 48}
	}
	a := NewAnalyzer(options)
	begin := time.Since(epoch.Time()).Truncate(time.Second)
	tone, encode := testsignal.Tone{Frequency: testsignal.DefaultFrequency, Timecode: true}, encodeOpus(t)
	pcm, first := make([]float32, frameSamples), uint64(begin/time.Second)*media.OpusClockRate
	for n := range seconds * 50 {
		tone.Fill(pcm, 1, first+uint64(n)*frameSamples)
		if packet := encode(pcm); p.drop == nil || !p.drop(n) {
			a.WriteAudio(webrtc.MimeTypeOpus, packet, uint32(n)*frameSamples, begin+p.delay+time.Duration(n)*frameDuration)
		}
	}
	pattern, err := testsignal.NewPattern(64, 48)
	if err != nil {
		t.Fatal(err)
	}
	for n := range uint32(seconds * rate) {
		frame := uint32(begin/time.Second)*rate + n //nolint:gosec // small
		epoch.MarkSent(frame)
		shown, ok := frame, true
		if p.video != nil {
			if shown, ok = p.video(n); ok {
				shown += frame - n
			}
		}
		if !ok {
			continue
		}
		img := encodeVideo(t, pattern.Render(shown, time.Duration(shown)*time.Second/rate, time.Now()), p.quality)
		if p.smaller {
			img = new(pixel.Scaler).Scale(img, 56, 42)
		}
		a.WriteImage(img, begin+time.Duration(n)*time.Second/rate+p.delay+p.videoDelay)
	}
	return a.Report(begin + p.delay + p.videoDelay + seconds*time.Second)
}

// encodeVideo returns img after lossy coding with a quality of 1 to 100; the default is 60.
func encodeVideo(t *testing.T, img image.Image, quality float32) *image.YCbCr {
	t.Helper()
	var b bytes.Buffer
	options := webp.DefaultOptions()
	options.Quality = cmp.Or(quality, 60)
	if err := webp.Encode(&b, img, options); err != nil {
		t.Fatal(err)
	}
	got, err := webp.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	return got.(*image.YCbCr)
}

// near checks a value that may be missing.
func near(t *testing.T, what string, got *float64, want, tolerance float64) {
	t.Helper()
	if got == nil || math.Abs(*got-want) > tolerance {
		text := "nothing"
		if got != nil {
			text = strconv.FormatFloat(*got, 'f', 1, 64)
		}
		t.Errorf("%s is %s, want about %v", what, text, want)
	}
}

// TestAnalyzerDelay: without other impairments there is only latency, and a difference between
// audio and video.
func TestAnalyzerDelay(t *testing.T) {
	t.Parallel()
	r := analyze(t, impairment{delay: 80 * time.Millisecond, videoDelay: 120 * time.Millisecond}, true)
	if r.Frames != 60 || r.FrameIDs != 60 || r.Missing+r.Gaps+r.Repeated+r.OutOfOrder != 0 || r.Timecodes < 20 {
		t.Errorf("%+v", r)
	}
	near(t, "freeze", r.MaxFreeze, 100, 5)
	near(t, "audio gap", r.MaxAudioGap, 0, 1)
	if r.VideoLatency == nil || r.AudioLatency == nil {
		t.Fatalf("latencies are %v and %v", r.VideoLatency, r.AudioLatency)
	}
	near(t, "video latency", &r.VideoLatency.Median, 200, 1)
	near(t, "audio latency", &r.AudioLatency.P95, 86.5, 3) // Opus takes 6.5 ms
	near(t, "sync", r.Sync, 113.5, 3)
	near(t, "PSNR", r.PSNR, 38, 4)
}

// TestAnalyzerImpairments: each impairment is reported as what it is, and as nothing else.
func TestAnalyzerImpairments(t *testing.T) {
	for name, test := range map[string]struct {
		impairment
		check func(t *testing.T, r Report)
	}{
		"lost frames": {impairment{video: func(n uint32) (uint32, bool) { return n, n < 20 || n > 24 && n != 40 }}, func(t *testing.T, r Report) {
			if r.Missing != 6 || r.Gaps != 2 || r.Repeated != 0 {
				t.Errorf("%+v", r)
			}
			near(t, "freeze", r.MaxFreeze, 600, 5)
		}},
		"freeze": {impairment{video: func(n uint32) (uint32, bool) { return min(n, 30), true }}, func(t *testing.T, r Report) {
			if r.Repeated != 29 || r.Missing != 0 {
				t.Errorf("%+v", r)
			}
			near(t, "freeze", r.MaxFreeze, 3000, 5)
		}},
		"out of order": {impairment{video: func(n uint32) (uint32, bool) {
			if n == 30 || n == 31 {
				return 61 - n, true
			}
			return n, true
		}}, func(t *testing.T, r Report) {
			if r.OutOfOrder != 1 || r.Missing != 1 {
				t.Errorf("%+v", r)
			}
		}},
		"audio gap":     {impairment{drop: func(n int) bool { return n >= 100 && n < 140 }}, func(t *testing.T, r Report) { near(t, "audio gap", r.MaxAudioGap, 800, 30) }},
		"end of audio":  {impairment{drop: func(n int) bool { return n >= 200 }}, func(t *testing.T, r Report) { near(t, "audio gap", r.MaxAudioGap, 2000, 30) }},
		"low quality":   {impairment{quality: 1}, func(t *testing.T, r Report) { near(t, "PSNR", r.PSNR, 25, 4) }},
		"high quality":  {impairment{quality: 95}, func(t *testing.T, r Report) { near(t, "PSNR", r.PSNR, 50, 6) }},
		"smaller video": {impairment{smaller: true}, func(t *testing.T, r Report) { near(t, "PSNR", r.PSNR, 42, 5) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := analyze(t, test.impairment, true)
			test.check(t, r)
			if r.PSNR == nil {
				t.Error("no PSNR")
			}
		})
	}
}

// TestAnalyzerOtherEpoch: what another sender sends has no latency, but all that can be measured
// without a common clock.
func TestAnalyzerOtherEpoch(t *testing.T) {
	t.Parallel()
	r := analyze(t, impairment{videoDelay: 50 * time.Millisecond}, false)
	if r.VideoLatency != nil || r.AudioLatency != nil || r.Missing != 0 || r.PSNR == nil {
		t.Errorf("%+v", r)
	}
	near(t, "sync", r.Sync, 43.5, 3)
}

// TestAnalyzerOtherSignals: other video and silence are not measured.
func TestAnalyzerOtherSignals(t *testing.T) {
	changes := 0
	a := NewAnalyzer(AnalyzerOptions{Epoch: testsignal.NewEpoch(), Changed: func() { changes++ }})
	for n := range 100 {
		a.WriteImage(image.NewYCbCr(image.Rect(0, 0, 64, 48), image.YCbCrSubsampleRatio420), time.Duration(n)*time.Second)
		a.WriteAudio(webrtc.MimeTypeOpus, []byte{0xf8, 0xff, 0xfe}, uint32(n)*frameSamples, time.Duration(n)*frameDuration) //nolint:gosec // small
	}
	if r := a.Report(200 * time.Second); r.Frames != 100 || r.FrameIDs != 0 || r.Timecodes != 0 || r.MaxFreeze != nil || r.MaxAudioGap != nil || r.PSNR != nil || r.Sync != nil {
		t.Errorf("%+v", r)
	}
	if changes != 200 {
		t.Errorf("%d changes were reported, want 200", changes)
	}
}

// TestToneHasNoTimecode: no timecodes are found in a tone after Opus.
func TestToneHasNoTimecode(t *testing.T) {
	for _, hz := range []float64{600, 1300, 1700, 3000} {
		a, encode := NewAnalyzer(AnalyzerOptions{}), encodeOpus(t)
		pcm := make([]float32, frameSamples)
		for n := range uint32(500) {
			testsignal.Tone{Frequency: hz}.Fill(pcm, 1, uint64(n)*frameSamples)
			a.WriteAudio(webrtc.MimeTypeOpus, encode(pcm), n*frameSamples, time.Duration(n)*frameDuration)
		}
		if r := a.Report(10 * time.Second); r.Timecodes > 0 {
			t.Errorf("%v Hz has %d timecodes", hz, r.Timecodes)
		}
	}
}
