package source

import (
	"bytes"
	"cmp"
	"context"
	"image"
	"math"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"parley/media"
	"parley/media/pixel"
	"parley/media/testsignal"

	"github.com/deepteams/webp"
)

// damage is what a road does to a test picture and its sound.
type damage struct {
	late    time.Duration // both
	apart   time.Duration // the picture beyond that
	picture func(frame uint32) (shown uint32, ok bool)
	silent  func(packet int) bool
	coarse  float32 // quality of the encoder
	seconds int
	smaller bool
}

// judged has a Judge look at a test source after damage, with the epoch of the source, or without one.
func judged(t *testing.T, d damage, known bool) Quality {
	t.Helper()
	const rate = 10
	o := testsignal.NewEpoch()
	options := JudgeOptions{}
	if known {
		options = JudgeOptions{Epoch: o, Rate: rate, Width: 64, Height: 48}
	}
	j := NewJudge(options)
	video, err := newTestVideo(VideoOptions{Width: 64, Height: 48, FrameRate: rate, Epoch: o})
	if err != nil {
		t.Fatal(err)
	}
	sound, err := newTone("test", testsignal.DefaultFrequency, AudioOptions{Epoch: o})
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Since(o.Time()).Truncate(time.Second)
	pcm, packet := make([]float32, opusSamples), make([]byte, opusMaxSize)
	first := uint64(begin/time.Second) * media.OpusClockRate
	for n := range d.seconds * 50 {
		sound.signal.Fill(pcm, 1, first+uint64(n)*opusSamples)
		size, err := sound.encoder.Encode(pcm, packet)
		if err != nil {
			t.Fatal(err)
		}
		if d.silent == nil || !d.silent(n) {
			j.Sound(packet[:size], uint32(n)*opusSamples, begin+d.late+time.Duration(n)*opusFrame)
		}
	}
	for n := range uint32(d.seconds * rate) { //nolint:gosec // small
		frame := uint32(begin/time.Second)*rate + n //nolint:gosec // small
		o.MarkSent(frame)
		shown, ok := frame, true
		if d.picture != nil {
			if shown, ok = d.picture(n); ok {
				shown += frame - n
			}
		}
		if !ok {
			continue
		}
		img := coded(t, video.pattern.Render(shown, video.at(shown), time.Now()), d.coarse)
		if d.smaller {
			img = new(pixel.Scaler).Scale(img, 56, 42)
		}
		j.Picture(img, begin+time.Duration(n)*time.Second/rate+d.late+d.apart)
	}
	return j.Quality(begin + d.late + d.apart + time.Duration(d.seconds)*time.Second)
}

// coded returns img after lossy coding with a quality of 1 to 100; the default is 60.
func coded(t *testing.T, img image.Image, quality float32) *image.YCbCr {
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

// TestJudgeWhole: what is whole is judged so, with its latency, and how far picture and sound are apart.
func TestJudgeWhole(t *testing.T) {
	t.Parallel()
	q := judged(t, damage{late: 80 * time.Millisecond, apart: 120 * time.Millisecond, seconds: 6}, true)
	if q.Pictures != 60 || q.Numbers != 60 || q.Missing+q.Skips+q.Repeated+q.Backward != 0 || q.Words < 20 {
		t.Errorf("%+v", q)
	}
	near(t, "frozen", q.Frozen, 100, 5)
	near(t, "gap", q.Gap, 0, 1)
	if q.PictureLatency == nil || q.SoundLatency == nil {
		t.Fatalf("latencies are %v and %v", q.PictureLatency, q.SoundLatency)
	}
	near(t, "the picture's latency", &q.PictureLatency.Median, 200, 1)
	near(t, "the sound's latency", &q.SoundLatency.P95, 86.5, 3) // Opus takes 6.5 ms
	near(t, "sync", q.Sync, 113.5, 3)
	near(t, "PSNR", q.PSNR, 38, 4)
}

// TestJudgeDamage: each damage is seen for what it is, and for nothing else.
func TestJudgeDamage(t *testing.T) {
	for name, test := range map[string]struct {
		damage
		check func(t *testing.T, q Quality)
	}{
		"lost": {damage{picture: func(n uint32) (uint32, bool) { return n, n < 20 || n > 24 && n != 40 }}, func(t *testing.T, q Quality) {
			if q.Missing != 6 || q.Skips != 2 || q.Repeated != 0 {
				t.Errorf("%+v", q)
			}
			near(t, "frozen", q.Frozen, 600, 5)
		}},
		"frozen": {damage{picture: func(n uint32) (uint32, bool) { return min(n, 30), true }}, func(t *testing.T, q Quality) {
			if q.Repeated != 29 || q.Missing != 0 {
				t.Errorf("%+v", q)
			}
			near(t, "frozen", q.Frozen, 3000, 5)
		}},
		"disorder": {damage{picture: func(n uint32) (uint32, bool) {
			if n == 30 || n == 31 {
				return 61 - n, true
			}
			return n, true
		}}, func(t *testing.T, q Quality) {
			if q.Backward != 1 || q.Missing != 1 {
				t.Errorf("%+v", q)
			}
		}},
		"silence":       {damage{silent: func(n int) bool { return n >= 100 && n < 140 }}, func(t *testing.T, q Quality) { near(t, "gap", q.Gap, 800, 30) }},
		"no more sound": {damage{silent: func(n int) bool { return n >= 200 }}, func(t *testing.T, q Quality) { near(t, "gap", q.Gap, 2000, 30) }},
		"coarse":        {damage{coarse: 1}, func(t *testing.T, q Quality) { near(t, "PSNR", q.PSNR, 25, 4) }},
		"fine":          {damage{coarse: 95}, func(t *testing.T, q Quality) { near(t, "PSNR", q.PSNR, 50, 6) }},
		"smaller":       {damage{smaller: true}, func(t *testing.T, q Quality) { near(t, "PSNR", q.PSNR, 42, 5) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.seconds = 6
			q := judged(t, test.damage, true)
			test.check(t, q)
			if q.PSNR != nil {
				t.Logf("PSNR %.1f", *q.PSNR)
			}
		})
	}
}

// TestJudgeStranger: what somebody else sends has no latency, but all that can be seen without a common clock.
func TestJudgeStranger(t *testing.T) {
	t.Parallel()
	q := judged(t, damage{apart: 50 * time.Millisecond, seconds: 6}, false)
	if q.PictureLatency != nil || q.SoundLatency != nil || q.Missing != 0 || q.PSNR == nil {
		t.Errorf("%+v", q)
	}
	near(t, "sync", q.Sync, 43.5, 3)
}

// TestJudgeNothing: other pictures and silence are not judged.
func TestJudgeNothing(t *testing.T) {
	j := NewJudge(JudgeOptions{Epoch: testsignal.NewEpoch()})
	for n := range 100 {
		j.Picture(image.NewYCbCr(image.Rect(0, 0, 64, 48), image.YCbCrSubsampleRatio420), time.Duration(n)*time.Second)
		j.Sound([]byte{0xf8, 0xff, 0xfe}, uint32(n)*opusSamples, time.Duration(n)*opusFrame) //nolint:gosec // small
	}
	if q := j.Quality(200 * time.Second); q.Pictures != 100 || q.Numbers != 0 || q.Words != 0 || q.Frozen != nil || q.Gap != nil || q.PSNR != nil || q.Sync != nil {
		t.Errorf("%+v", q)
	}
}

// TestSourcesShareAnEpoch: a source that runs later goes on with the number of now.
func TestSourcesShareAnEpoch(t *testing.T) {
	if _, err := testsignal.NewVP8Encoder(0, 10); err != nil { // which fills the tables of the library, outside the bubble
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		o := &testsignal.Epoch{}
		o.Time()
		s, err := newTestVideo(VideoOptions{Width: 64, Height: 48, FrameRate: 10, Epoch: o})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second-10*time.Millisecond)
		defer cancel()
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
		if o.Sent(49) || !o.Sent(50) || !o.Sent(99) || o.Sent(100) {
			t.Errorf("sent are 49 %t, 50 %t, 99 %t, 100 %t", o.Sent(49), o.Sent(50), o.Sent(99), o.Sent(100))
		}
	})
}

// TestToneHasNoTimecode: a tone after Opus has no timecode.
func TestToneHasNoTimecode(t *testing.T) {
	for _, hz := range []float64{600, 1300, 1700, 3000} {
		source, err := newTone("tone", hz, AudioOptions{})
		if err != nil {
			t.Fatal(err)
		}
		j := NewJudge(JudgeOptions{})
		pcm, packet := make([]float32, opusSamples), make([]byte, opusMaxSize)
		for n := range uint32(500) {
			source.signal.Fill(pcm, 1, uint64(n)*opusSamples)
			size, err := source.encoder.Encode(pcm, packet)
			if err != nil {
				t.Fatal(err)
			}
			j.Sound(packet[:size], n*opusSamples, time.Duration(n)*opusFrame)
		}
		if q := j.Quality(10 * time.Second); q.Words > 0 {
			t.Errorf("%v Hz has %d timecodes", hz, q.Words)
		}
	}
}
