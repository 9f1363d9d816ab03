package source

import (
	"context"
	"errors"
	"math"
	"os"
	record "parley/media/recorder"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/webrtc/v4"
)

// recording records six seconds of the test sources, with pictures that come later than their sound, and some that do
// not come.
func recording(t *testing.T, late time.Duration, lost func(line int) bool) string {
	t.Helper()
	recorder, path := newRecorder(t, "out.webm", record.Options{Audio: true, Video: true})
	lines, _ := videoLines(t, 0, 6*time.Second, late)
	var video []sent
	for i, l := range lines {
		if lost == nil || !lost(i) {
			video = append(video, l)
		}
	}
	audio := audioLines(t, 0, 6*time.Second)
	synctest.Test(t, func(t *testing.T) {
		defer recordWire(t, recorder, webrtc.MimeTypeVP8, video)()
		recordWire(t, recorder, webrtc.MimeTypeOpus, audio)()
	})
	if err := recorder.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// verified is what is found in a file, with what is told.
func verified(t *testing.T, path string) (Verified, string) {
	t.Helper()
	var told strings.Builder
	v, err := VerifyFile(context.Background(), path, VerifyOptions{Tell: func(s string) { told.WriteString(s + "\n") }})
	if err != nil {
		t.Fatal(err)
	}
	return v, told.String()
}

// TestVerifyFile: a recording is judged the same in every format, whoever wrote it, and whoever decodes it.
func TestVerifyFile(t *testing.T) {
	t.Parallel()
	path := recording(t, 0, nil)
	for name, test := range map[string]struct {
		args  []string
		psnr  float64
		sound bool
	}{
		"webm":  {nil, 45, true},
		"mkv":   {[]string{"-c", "copy", "out.mkv"}, 45, true},
		"ivf":   {[]string{"-map", "0:v", "-c", "copy", "out.ivf"}, 45, false},
		"ogg":   {[]string{"-map", "0:a", "-c", "copy", "out.ogg"}, 0, true},
		"inter": {[]string{"-c:v", "libvpx", "-b:v", "1M", "-c:a", "copy", "out.webm"}, 44, true},                   // not only key frames
		"h264":  {[]string{"-c:v", "libx264", "-bf", "2", "-c:a", "aac", "out.mp4"}, 40, true},                      // with B frames
		"avi":   {[]string{"-c:v", "mpeg4", "-q:v", "3", "-c:a", "pcm_s16le", "-ar", "48000", "out.avi"}, 42, true}, // a format that we do not read
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := path
			if test.args != nil {
				file = filepath.Join(t.TempDir(), test.args[len(test.args)-1])
				ffmpeg(t, append(append([]string{"-i", path}, test.args[:len(test.args)-1]...), file)...)
			}
			v, told := verified(t, file)
			if test.psnr > 0 {
				if v.Numbers < 58 || v.Missing+v.Skips+v.Repeated+v.Backward != 0 {
					t.Errorf("%+v, %s", v, told)
				}
				near(t, "PSNR", v.PSNR, test.psnr, 8)
				near(t, "frozen", v.Frozen, 100, 30)
			}
			if test.sound {
				if v.Words < 18 {
					t.Errorf("%d words, %s", v.Words, told)
				}
				near(t, "gap", v.Gap, 0, 40)
			}
			if test.sound && test.psnr > 0 {
				near(t, "sync", v.Sync, 0, 60)
			}
			if math.Abs(v.Duration.Seconds()-6) > .2 {
				t.Errorf("it lasts %v", v.Duration)
			}
		})
	}
}

// TestVerifyDamage: what is missing, and pictures that come late.
func TestVerifyDamage(t *testing.T) {
	t.Parallel()
	v, _ := verified(t, recording(t, 300*time.Millisecond, nil))
	near(t, "sync", v.Sync, 293.5, 20)
	v, _ = verified(t, recording(t, 0, func(line int) bool { return line > 40 && line < 60 }))
	if v.Missing < 3 || v.Skips == 0 {
		t.Errorf("%+v", v)
	}
	if v.Frozen == nil || *v.Frozen < 300 {
		t.Errorf("frozen for %v", v.Frozen)
	}
}

// TestVerifyNothing: what is no recording is an error that names it, and what is cut off is judged up to there.
func TestVerifyNothing(t *testing.T) {
	t.Parallel()
	verify := func(path string) error {
		_, err := VerifyFile(context.Background(), path, VerifyOptions{})
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
	if v, told := verified(t, text); v.Numbers < 10 || v.Missing != 0 {
		t.Errorf("a half: %+v, %q", v, told)
	}
}
