//go:build !quick

package source

import (
	"math"
	"testing"

	"parley/media/receiver"

	"github.com/pion/webrtc/v4"
)

// TestFilesInACall sends files of every kind through a call, at their own pace, and looks at what
// arrives.
func TestFilesInACall(t *testing.T) {
	for _, test := range []struct {
		name    string
		codec   string
		options []string
	}{
		{"vp8.ivf", "VP8", []string{"-c:v", "libvpx", "-deadline", "realtime", "-g", "10"}},
		{"vp9.ivf", "VP9", []string{"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "10"}},
		{"av1.ivf", "AV1", []string{"-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-g", "10"}},
		{"baseline.h264", "H264", []string{"-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "baseline", "-g", "10", "-slices", "3"}},
		{"opus.ogg", "opus", []string{"-c:a", "libopus"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := clip(t, test.name, test.options...)
			var source Source
			var err error
			if test.codec == "opus" {
				source, err = OpenAudio(path, AudioOptions{Loop: true})
			} else {
				source, err = OpenVideo(path, VideoOptions{Loop: true})
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = source.Close() })
			arrives := connect(t, source)
			run(t, source.Run)
			r := next(t, arrives)
			w := receive(t, r, receiver.Options{})
			// More frames than the file has: it has been looped, and time went on.
			wanted := uint64(60)
			if test.codec == "opus" {
				wanted = 110
			}
			s := w.until(t, "the second round", func(s watched) bool { return s.Frames >= wanted })
			if s.Codec != test.codec || s.Lost != 0 || s.Broken > 1 {
				t.Errorf("stats are %+v", s)
			}
			if r.track.Kind() == webrtc.RTPCodecTypeAudio {
				if math.Abs(s.Tone-440) > 4.4 {
					t.Errorf("tone is %.1f Hz", s.Tone)
				}
				return
			}
			if s.Width != 160 || s.Height != 120 || s.KeyFrames < 5 || math.Abs(s.FrameRate-25) > 1 {
				t.Errorf("stats are %+v", s)
			}
		})
	}
}
