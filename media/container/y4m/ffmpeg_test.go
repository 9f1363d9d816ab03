//go:build !quick

package y4m

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"parley/media/internal/mediatest"
)

// TestColor reads what ffmpeg makes of one color in limited range, whatever the range and layout of
// the stream.
func TestColor(t *testing.T) {
	for _, color := range []string{"0x282828", "0xFF2010"} {
		want := mediatest.FFmpeg(t, "-f", "lavfi", "-i", "color=c="+color+":s=16x16", "-frames:v", "1", "-pix_fmt", "yuv444p", "-f", "rawvideo", "-")
		for _, test := range []struct{ format, size string }{
			{"yuv420p", "31x17"}, {"yuvj420p", "641x361"}, {"yuvj422p", "31x17"}, {"yuv444p", "31x17"}, {"yuv411p", "33x17"}, {"gray", "31x17"},
		} {
			source := []string{"-f", "lavfi", "-i", "color=c=" + color + ":s=16x16:r=5:d=0.4", "-s", test.size}
			data := mediatest.FFmpeg(t, append(source, "-pix_fmt", test.format, "-f", "yuv4mpegpipe", "-strict", "-1", "-")...)
			y, err := NewReader(bufio.NewReader(bytes.NewReader(data)))
			if err != nil {
				t.Fatal(err)
			}
			count := 0
			for {
				p, err := y.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatalf("%v: %v", test, err)
				}
				count++
				for plane, got := range [][]byte{p.Y, p.Cb, p.Cr} {
					want := want[256*plane]
					if test.format == "gray" && plane > 0 {
						want = 128
					}
					for _, v := range got {
						if v+2 < want || v > want+2 {
							t.Fatalf("%s as %v: plane %d is %d, want %d", color, test, plane, v, want)
						}
					}
				}
			}
			if width, height := y.Size(); count != 2 || y.FrameRate() != 5 || test.size != fmt.Sprintf("%dx%d", width, height) {
				t.Errorf("%v: %d frames of %dx%d at %v frames/s", test, count, width, height, y.FrameRate())
			}
		}
	}
}
