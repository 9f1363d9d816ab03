//go:build !quick

package wav

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"strings"
	"testing"

	"parley/media/internal/mediatest"
)

// TestFFmpeg reads the samples that ffmpeg reads, in every format.
func TestFFmpeg(t *testing.T) {
	for _, options := range []string{
		"-c:a pcm_u8", "-c:a pcm_s16le", "-c:a pcm_s24le", "-c:a pcm_s32le", "-c:a pcm_f32le", "-c:a pcm_f64le", "-c:a pcm_alaw", "-c:a pcm_mulaw",
		"-c:a pcm_s16le -ac 2", "-c:a pcm_s24le -ac 6", "-rf64 always -c:a pcm_s16le",
	} {
		path := mediatest.Clip(t, "a.wav", strings.Fields(options)...)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		w, err := open(bytes.NewReader(data))
		if err != nil {
			t.Errorf("%s: %v", options, err)
			continue
		}
		got, err := readAll(w)
		raw := mediatest.FFmpeg(t, "-i", path, "-f", "f32le", "-")
		if err != nil || len(got) != len(raw)/4 {
			t.Errorf("%s: %d samples, want %d; error is %v", options, len(got), len(raw)/4, err)
			continue
		}
		for i, v := range got {
			want := math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
			if math.Abs(float64(v-want)) > 1e-4 {
				t.Errorf("%s: sample %d is %v, want %v", options, i, v, want)
				break
			}
		}
	}
}

// TestChannelMask returns the mask of an extensible header, or one that follows from the number of
// channels.
func TestChannelMask(t *testing.T) {
	for layout, want := range map[string]uint32{"mono": 4, "stereo": 3, "5.1": 0x3F, "5.1(side)": 0x60F, "7.1": 0x63F, "quad": 0x33} {
		path := mediatest.Clip(t, "a.wav", "-af", "aformat=channel_layouts="+layout)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		w, err := open(bytes.NewReader(data))
		if err != nil || w.Channels() > 2 && w.ChannelMask() != want {
			t.Errorf("%s: mask is %#x, want %#x; error is %v", layout, w.ChannelMask(), want, err)
		}
	}
}
