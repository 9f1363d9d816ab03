//go:build !quick

package verify

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parley/media/internal/mediatest"
)

// TestFormats: the measurements are the same in every format, with every decoder.
func TestFormats(t *testing.T) {
	t.Parallel()
	path := recording(t, 0, nil)
	for name, test := range map[string]struct {
		args  []string
		psnr  float64
		audio bool
	}{
		"webm":  {nil, 45, true},
		"mkv":   {[]string{"-c", "copy", "out.mkv"}, 45, true},
		"ivf":   {[]string{"-map", "0:v", "-c", "copy", "out.ivf"}, 45, false},
		"ogg":   {[]string{"-map", "0:a", "-c", "copy", "out.ogg"}, 0, true},
		"inter": {[]string{"-c:v", "libvpx", "-b:v", "1M", "-c:a", "copy", "out.webm"}, 44, true},                   // not only key frames
		"h264":  {[]string{"-c:v", "libx264", "-bf", "2", "-c:a", "aac", "out.mp4"}, 40, true},                      // with B frames
		"avi":   {[]string{"-c:v", "mpeg4", "-q:v", "3", "-c:a", "pcm_s16le", "-ar", "48000", "out.avi"}, 42, true}, // a format without a demuxer
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := path
			if test.args != nil {
				file = filepath.Join(t.TempDir(), test.args[len(test.args)-1])
				mediatest.FFmpeg(t, append(append([]string{"-i", path}, test.args[:len(test.args)-1]...), file)...)
			}
			v, warnings := verified(t, file)
			if test.psnr > 0 {
				if v.FrameIDs < 58 || v.Missing+v.Gaps+v.Repeated+v.OutOfOrder != 0 {
					t.Errorf("%+v, %s", v, warnings)
				}
				near(t, "PSNR", v.PSNR, test.psnr, 8)
				near(t, "freeze", v.MaxFreeze, 100, 30)
			}
			if test.audio {
				if v.Timecodes < 18 {
					t.Errorf("%d timecodes, %s", v.Timecodes, warnings)
				}
				near(t, "audio gap", v.MaxAudioGap, 0, 40)
			}
			if test.audio && test.psnr > 0 {
				near(t, "sync", v.Sync, 0, 60)
			}
			if math.Abs(v.Duration.Seconds()-6) > .2 {
				t.Errorf("the duration is %v", v.Duration)
			}
		})
	}
}

// TestBrokenFiles: the error of a file that is no recording names it; a truncated one is measured
// up to its end.
func TestBrokenFiles(t *testing.T) {
	t.Parallel()
	verify := func(path string) error {
		_, err := File(context.Background(), path, Options{})
		return err
	}
	if err := verify("absent.webm"); err == nil || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	text := filepath.Join(t.TempDir(), "text.webm")
	if err := os.WriteFile(text, []byte("this is no recording at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := verify(text); err == nil || !strings.Contains(err.Error(), "text.webm") {
		t.Errorf("text: %v", err)
	}
	whole, err := os.ReadFile(recording(t, 0, nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(text, whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if v, warnings := verified(t, text); v.FrameIDs < 10 || v.Missing != 0 {
		t.Errorf("a half: %+v, %q", v, warnings)
	}
}
