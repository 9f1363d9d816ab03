package source

import (
	"image"
	"testing"
	"time"
)

// TestFFmpegDecoder: what it decodes of a file are the pictures of that file.
func TestFFmpegDecoder(t *testing.T) {
	for mime, path := range videoClips(t) {
		_, all := frames(t, path, VideoOptions{})
		const luma, whole = 160 * 120, 160 * 120 * 3 / 2
		want := map[string]bool{}
		for raw := ffmpeg(t, "-i", path, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"); len(raw) >= whole; raw = raw[whole:] {
			want[string(raw[:luma])] = true
		}
		d, err := NewFFmpegDecoder(mime)
		if err != nil {
			t.Fatal(err)
		}
		seen := 0
		for i := 0; seen < 3 && testContext(t).Err() == nil; i = (i + 1) % len(all) {
			img, err := d.Decode(withoutDelimiters(mime, all[i].data))
			if err != nil {
				t.Fatal(err)
			}
			if img == nil {
				time.Sleep(50 * time.Millisecond) // another process decodes
				continue
			}
			if !want[string(img.(*image.YCbCr).Y)] {
				t.Fatalf("%s: a picture after %d frames is none of the file", mime, i)
			}
			seen++
		}
		if seen < 3 {
			t.Errorf("%s: %d pictures", mime, seen)
		}
		d.Close()
	}
}
