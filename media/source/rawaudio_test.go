//go:build !quick

package source

import (
	"math"
	"strings"
	"testing"
	"time"

	"parley/media"
	"parley/media/quality"

	"github.com/pion/webrtc/v4"
	"github.com/thesyncim/gopus"
)

// TestWAV: whatever its samples are, a WAV file is as long as it was, and has its tone.
func TestWAV(t *testing.T) {
	for _, options := range []string{
		"pcm_s16le 48000 1", "pcm_s16le 44100 2", "pcm_s16le 22050 1", "pcm_u8 8000 1", "pcm_s24le 96000 2",
		"pcm_s32le 48000 6", "pcm_f32le 44100 1", "pcm_f64le 11025 2", "pcm_alaw 8000 1", "pcm_mulaw 16000 1",
	} {
		t.Run(options, func(t *testing.T) {
			o := strings.Fields(options)
			path := clip(t, "a.wav", "-c:a", o[0], "-ar", o[1], "-ac", o[2], "-t", "1.1")
			_, all := frames(t, path, VideoOptions{})
			if len(all) < 55 || len(all) > 56 {
				t.Errorf("%d packets, want 55", len(all))
			}
			meter := quality.NewToneMeter()
			for i, s := range all {
				if s.at != uint64(i)*opusSamples || s.duration != opusSamples { //nolint:gosec // small
					t.Fatalf("packet %d is at %d for %d", i, s.at, s.duration)
				}
				f := media.Frame{
					Codec: webrtc.MimeTypeOpus, Data: s.data, Timestamp: uint32(s.at), ClockRate: media.OpusClockRate, //nolint:gosec // small
					Arrival: time.Unix(0, 0).Add(time.Duration(i) * opusFrame),
				}
				if err := meter.WriteFrame(f); err != nil {
					t.Fatal(err)
				}
			}
			if m := meter.Stats(); math.Abs(m.Tone-440) > 2 || m.Level < -40 || m.Level > -12 {
				t.Errorf("got a tone of %.1f Hz at %.1f dBFS", m.Tone, m.Level)
			}
		})
	}
}

// TestSurroundWAV checks that a tone in the center channel keeps its level of -21.1 dB, to 4.5 dB,
// in stereo and in mono, and that a sum over full scale is encoded as it is.
func TestSurroundWAV(t *testing.T) {
	for pan, want := range map[string]float64{
		"pan=5.1|FC=c0": -21.1, "volume=8,pan=5.1|FL=c0|FR=c0|FC=c0|BL=c0|BR=c0|LFE=c0": 4.6,
	} {
		_, all := frames(t, clip(t, "a.wav", "-t", "0.5", "-af", pan), VideoOptions{})
		for channels := 1; channels <= 2; channels++ {
			decoder, err := gopus.NewDecoder(gopus.DecoderConfig{SampleRate: media.OpusClockRate, Channels: channels})
			if err != nil {
				t.Fatal(err)
			}
			out, sum, count := make([]float32, 2*opusSamples), 0.0, 0
			for _, s := range all {
				n, err := decoder.Decode(s.data, out)
				if err != nil {
					t.Fatal(err)
				}
				for _, v := range out[:n*channels] {
					sum += float64(v * v)
				}
				count += n * channels
			}
			if level := 10 * math.Log10(sum/float64(count)); math.Abs(level-want) > 4.5 {
				t.Errorf("%s: level in %d channels is %.1f dB, want %.1f", pan, channels, level, want)
			}
		}
	}
}
