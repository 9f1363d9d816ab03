package source

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"parley/media"
	"parley/media/internal/mediatest"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// runFor runs a source in a bubble of synctest, where time passes only when everybody waits.
func runFor(t *testing.T, source Source, d time.Duration) (c *mediatest.Sender, start time.Time) {
	t.Helper()
	c = mediatest.Bind(t, source)
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	start = time.Now()
	if err := source.Run(ctx); err != nil {
		t.Error(err)
	}
	return c, start
}

func TestPaceOfTestVideo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, err := OpenVideo("test", VideoOptions{Width: 64, Height: 48, FrameRate: 29.97, StreamID: "me"})
		if err != nil {
			t.Fatal(err)
		}
		if source.ID() != "video" || source.StreamID() != "me" || source.Kind() != webrtc.RTPCodecTypeVideo {
			t.Errorf("track is %q of %q, %v", source.ID(), source.StreamID(), source.Kind())
		}
		c, start := runFor(t, source, 10*time.Second)
		var frames []*rtp.Packet
		var times []time.Time
		for i, p := range c.Packets {
			if p.Marker {
				frames, times = append(frames, p), append(times, c.Times[i])
			}
		}
		if len(frames) != 300 { // 0 to 299, the last at 9.98 s
			t.Fatalf("%d frames", len(frames))
		}
		for i, p := range frames {
			at := float64(i) / 29.97
			if d := float64(p.Timestamp-frames[0].Timestamp) - at*90000; math.Abs(d) > 1 {
				t.Errorf("timestamp of frame %d is off by %.1f", i, d)
			}
			if d := times[i].Sub(start).Seconds() - at; math.Abs(d) > 1e-6 {
				t.Errorf("frame %d is off by %v s", i, d)
			}
		}
	})
}

// slowWriter holds up a source once, as a busy machine would.
type slowWriter struct {
	*mediatest.Sender
	at    int
	delay time.Duration
}

func (s *slowWriter) WriteStream() webrtc.TrackLocalWriter { return s }

func (s *slowWriter) WriteRTP(h *rtp.Header, payload []byte) (int, error) {
	n, err := s.Sender.WriteRTP(h, payload)
	if len(s.Packets) == s.at {
		time.Sleep(s.delay)
	}
	return n, err
}

// TestPaceAfterDelay: a live source that was held up is at once where it would be, without a burst.
func TestPaceAfterDelay(t *testing.T) {
	for _, test := range []struct {
		spec   string
		frames int // in three seconds, of which two and a half are lost
	}{{"video", 3 * 10}, {"audio", 3 * 50}} {
		synctest.Test(t, func(t *testing.T) {
			var source Source
			var err error
			if test.spec == "video" {
				source, err = OpenVideo("test", VideoOptions{Width: 64, Height: 48, FrameRate: 10})
			} else {
				source, err = OpenAudio("test", AudioOptions{})
			}
			if err != nil {
				t.Fatal(err)
			}
			slow := &slowWriter{Sender: &mediatest.Sender{Codecs: mediatest.BrowserCodecs()}, at: 3, delay: 2500 * time.Millisecond}
			if _, err := source.Bind(slow); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
			defer cancel()
			start := time.Now()
			if err := source.Run(ctx); err != nil {
				t.Error(err)
			}
			frames := map[uint32]bool{}
			for _, p := range slow.Packets {
				frames[p.Timestamp] = true
			}
			if len(frames) > test.frames/6+5 {
				t.Errorf("%s: %d frames", test.spec, len(frames))
			}
			clock := float64(media.VideoClockRate)
			if test.spec == "audio" {
				clock = media.OpusClockRate
			}
			last := len(slow.Packets) - 1
			media := float64(slow.Packets[last].Timestamp-slow.Packets[0].Timestamp) / clock
			if d := slow.Times[last].Sub(start).Seconds() - media; math.Abs(d) > 0.11 {
				t.Errorf("%s: time of media is off by %.3f s", test.spec, d)
			}
			if slow.Packets[last].SequenceNumber-slow.Packets[0].SequenceNumber != uint16(last) { //nolint:gosec // small
				t.Errorf("%s: sequence numbers have gaps", test.spec)
			}
		})
	}
}

func TestToneSpecs(t *testing.T) {
	for _, spec := range []string{"tone:", "tone:19", "tone:20001", "tone:NaN", "tone:440Hz", "tone:-440"} {
		if _, err := OpenAudio(spec, AudioOptions{}); err == nil {
			t.Errorf("%s makes a tone", spec)
		}
	}
}
