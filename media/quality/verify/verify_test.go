package verify

import (
	"context"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"parley/media"
	"parley/media/codec"
	"parley/media/container/matroska"
	"parley/media/internal/mediatest"
	"parley/media/testsignal"

	"github.com/pion/webrtc/v4"
	"github.com/thesyncim/gopus"
)

func TestMain(m *testing.M) { mediatest.Main(m) }

// memory is a media.Output.
type memory struct{ data []byte }

func (m *memory) Write(data []byte) (int, error) {
	m.data = append(m.data, data...)
	return len(data), nil
}
func (m *memory) Size() int64    { return int64(len(m.data)) }
func (m *memory) Seekable() bool { return true }
func (m *memory) Patch(offset int64, data []byte) error {
	copy(m.data[offset:], data)
	return nil
}

// recording returns the path of a WebM file with six seconds of the test signals, whose video is
// late and lacks frames.
func recording(t *testing.T, late time.Duration, lost func(frame int) bool) string {
	t.Helper()
	video, audio := videoFrames(t), audioFrames(t)
	var out memory
	muxer, err := matroska.NewMuxer(&out, []media.OutputTrack{
		{MIME: webrtc.MimeTypeVP8, First: video[0]}, {MIME: webrtc.MimeTypeOpus, First: audio[0]},
	})
	if err != nil {
		t.Fatal(err)
	}
	next := 0
	for n := 0; n < len(audio) || next < len(video); n++ {
		at := time.Duration(n) * 20 * time.Millisecond
		for ; next < len(video) && time.Duration(next)*100*time.Millisecond+late <= at; next++ {
			if lost != nil && lost(next) {
				continue
			}
			if err := muxer.WriteFrame(0, video[next], time.Duration(next)*100*time.Millisecond+late); err != nil {
				t.Fatal(err)
			}
		}
		if n < len(audio) {
			if err := muxer.WriteFrame(1, audio[n], at); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := muxer.Finish(6*time.Second + late); err != nil {
		t.Fatal(err)
	}
	return mediatest.WriteFile(t, "out.webm", out.data)
}

// videoFrames returns six seconds of the test video at 10 frames/s.
func videoFrames(t *testing.T) (frames []media.Frame) {
	t.Helper()
	pattern, err := testsignal.NewPattern(160, 120)
	if err != nil {
		t.Fatal(err)
	}
	encoder, err := testsignal.NewVP8Encoder(0, 10)
	if err != nil {
		t.Fatal(err)
	}
	for n := range uint32(60) {
		data, err := encoder.Encode(pattern.Render(n, time.Duration(n)*time.Second/10, time.Unix(0, 0)))
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, media.Frame{
			Kind: webrtc.RTPCodecTypeVideo, Codec: webrtc.MimeTypeVP8, Data: append([]byte(nil), data...), Timestamp: n * 9000,
			ClockRate: media.VideoClockRate, Key: codec.ParseVP8(data).Key, Width: 160, Height: 120,
		})
	}
	return frames
}

// audioFrames returns six seconds of the test audio.
func audioFrames(t *testing.T) (frames []media.Frame) {
	t.Helper()
	encoder, err := gopus.NewEncoder(gopus.EncoderConfig{SampleRate: media.OpusClockRate, Channels: 1, Application: gopus.ApplicationAudio})
	if err != nil {
		t.Fatal(err)
	}
	tone := testsignal.Tone{Frequency: testsignal.DefaultFrequency, Timecode: true}
	pcm, packet := make([]float32, 960), make([]byte, 1275)
	for n := range uint32(300) {
		tone.Fill(pcm, 1, uint64(n)*960)
		size, err := encoder.Encode(pcm, packet)
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, media.Frame{
			Kind: webrtc.RTPCodecTypeAudio, Codec: webrtc.MimeTypeOpus, Data: append([]byte(nil), packet[:size]...), Timestamp: n * 960,
			ClockRate: media.OpusClockRate, Key: true,
		})
	}
	return frames
}

// verified returns the result of File and its warnings.
func verified(t *testing.T, path string) (Result, string) {
	t.Helper()
	var warnings strings.Builder
	r, err := File(context.Background(), path, Options{Warn: func(text string) { warnings.WriteString(text + "\n") }})
	if err != nil {
		t.Fatal(err)
	}
	return r, warnings.String()
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

// TestImpairments: missing and late video are reported.
func TestImpairments(t *testing.T) {
	t.Parallel()
	v, _ := verified(t, recording(t, 300*time.Millisecond, nil))
	near(t, "sync", v.Sync, 293.5, 20)
	v, _ = verified(t, recording(t, 0, func(frame int) bool { return frame > 40 && frame < 50 }))
	if v.Missing != 9 || v.Gaps != 1 {
		t.Errorf("%+v", v)
	}
	if v.MaxFreeze == nil || *v.MaxFreeze < 900 {
		t.Errorf("the longest freeze is %v", v.MaxFreeze)
	}
}
