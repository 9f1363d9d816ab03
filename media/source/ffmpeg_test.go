package source

import (
	"image"
	"testing"

	"parley/media/internal/mediatest"
)

// The names under which the tests of this package know the functions of mediatest.
var (
	ffmpeg = mediatest.FFmpeg
	clip   = mediatest.Clip
	probe  = mediatest.Probe
	number = mediatest.Number
	write  = mediatest.WriteFile
)

// decodeVideo decodes the video of a file.
func decodeVideo(t testing.TB, path string, width, height int) []*image.Gray {
	t.Helper()
	raw := ffmpeg(t, "-i", path, "-map", "0:v", "-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "rawvideo", "-pix_fmt", "gray", "-")
	var all []*image.Gray
	for size := width * height; len(raw) >= size; raw = raw[size:] {
		all = append(all, grayOf(raw[:size], width, height))
	}
	if len(raw) != 0 {
		t.Errorf("%d bytes are left over of %s", len(raw), path)
	}
	return all
}

func grayOf(pixels []byte, width, height int) *image.Gray {
	return &image.Gray{Pix: pixels, Stride: width, Rect: image.Rect(0, 0, width, height)}
}
