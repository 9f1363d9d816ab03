package decoder

import (
	"image"
	"os"
	"testing"
	"time"

	"parley/media"
	"parley/media/container/annexb"
	"parley/media/container/ivf"
	"parley/media/internal/mediatest"

	"github.com/pion/webrtc/v4"
)

// clip returns the frames of a clip of 160x120 as they are received, and its path.
func clip(t *testing.T, mime string) (frames [][]byte, path string) {
	t.Helper()
	name, open := "clip.ivf", mediatest.Open(ivf.NewDemuxer)
	var options []string
	switch mime {
	case webrtc.MimeTypeVP8:
		options = []string{"-c:v", "libvpx", "-deadline", "realtime"}
	case webrtc.MimeTypeVP9:
		options = []string{"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"}
	case webrtc.MimeTypeAV1:
		options = []string{"-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8"}
	case webrtc.MimeTypeH264:
		name, open = "clip.h264", annexb.NewDemuxer
		options = []string{"-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "baseline"}
	}
	path = mediatest.Clip(t, name, append(options, "-g", "10", "-b:v", "2M")...)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, samples := mediatest.Demux(t, open, data)
	for _, s := range samples {
		frames = append(frames, s.Data)
	}
	return frames, path
}

// TestFFmpeg compares decoded frames with those of the file.
func TestFFmpeg(t *testing.T) {
	for _, mime := range []string{webrtc.MimeTypeVP8, webrtc.MimeTypeVP9, webrtc.MimeTypeAV1, webrtc.MimeTypeH264} {
		t.Run(media.CodecName(mime), func(t *testing.T) {
			all, path := clip(t, mime)
			const luma, whole = 160 * 120, 160 * 120 * 3 / 2
			want := map[string]bool{}
			for raw := mediatest.FFmpeg(t, "-i", path, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"); len(raw) >= whole; raw = raw[whole:] {
				want[string(raw[:luma])] = true
			}
			d, err := NewFFmpeg(mime)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			for i, seen := 0, 0; seen < 3; i = (i + 1) % len(all) {
				img, err := d.Decode(all[i])
				if err != nil {
					t.Fatal(err)
				}
				if img == nil {
					time.Sleep(50 * time.Millisecond) // another process decodes
					continue
				}
				if !want[string(img.(*image.YCbCr).Y)] {
					t.Fatalf("frame decoded after %d frames is not in the file", i)
				}
				seen++
			}
		})
	}
}
