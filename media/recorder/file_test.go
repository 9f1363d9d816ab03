//go:build !quick

package recorder

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parley/media/internal/mediatest"

	"github.com/pion/webrtc/v4"
)

// ffprobe returns the output of ffprobe, which must not report an error.
func ffprobe(t *testing.T, arguments ...string) []byte {
	t.Helper()
	var stderr strings.Builder
	command := exec.Command("ffprobe", append([]string{"-v", "error"}, arguments...)...)
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil || stderr.Len() > 0 {
		t.Errorf("ffprobe %q: %v\n%s", arguments, err, &stderr)
	}
	return out
}

// TestLazyCreation checks that a file is created with the first frames, not before, and that no
// existing file is changed.
func TestLazyCreation(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a.ogg")
	recorder, _ := newRecorder(t, path, Options{})
	track := addTrack(t, recorder, webrtc.MimeTypeOpus)
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 0 {
		t.Errorf("before the first frame the folder has %v, %v", entries, err)
	}
	writeAll(t, track, frameAt(webrtc.MimeTypeOpus, 0))
	closeRecorder(t, recorder)
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

// TestExistingFile keeps existing files and takes a free name, unless it is to overwrite them.
func TestExistingFile(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a.ogg")
	for i, test := range []struct {
		overwrite bool
		want      string
	}{{false, "a.ogg"}, {false, "a-2.ogg"}, {false, "a-3.ogg"}, {true, "a.ogg"}} {
		before, _ := os.ReadFile(path)
		var created []string
		recorder, _ := newRecorder(t, path, Options{Overwrite: test.overwrite, OnFile: func(path string) { created = append(created, path) }})
		for n := range 50 * (i + 1) {
			if n == 0 {
				writeAll(t, addTrack(t, recorder, webrtc.MimeTypeOpus))
			}
			writeAll(t, recorder.tracks[0], frameAt(webrtc.MimeTypeOpus, time.Duration(n)*opusFrame))
		}
		closeRecorder(t, recorder)
		want := []string{filepath.Join(folder, test.want)}
		if !slices.Equal(recorder.Files(), want) || !slices.Equal(created, want) {
			t.Errorf("files are %v, reported were %v, want %v", recorder.Files(), created, want)
		}
		if after, _ := os.ReadFile(path); i > 0 && (string(before) == string(after)) == test.overwrite {
			t.Errorf("overwrite %v: the first file was changed, or not", test.overwrite)
		}
	}
	if n := len(times(t, path, 0)); n != 200 {
		t.Errorf("the file that was written over has %d packets, want 200", n)
	}
}

// TestDevice writes to a character device, also when another file begins.
func TestDevice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "null.webm")
	if err := os.Symlink(os.DevNull, path); err != nil {
		t.Fatal(err)
	}
	recorder, _ := newRecorder(t, path, Options{SegmentTime: time.Second, Next: func() string { return path }})
	writeAll(t, addTrack(t, recorder, webrtc.MimeTypeVP8), framesOf(t, videoClips(t)[webrtc.MimeTypeVP8])...)
	closeRecorder(t, recorder)
	if n := len(recorder.Files()); n != 2 {
		t.Errorf("%d files were written, want 2", n)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().IsRegular() {
		t.Errorf("the device is now %v, %v", info, err)
	}
}

// TestKilled plays a recording that was not finished, and was cut off in the middle of a frame. All
// that came in before the latest tick of the file is in it.
func TestKilled(t *testing.T) {
	for name, test := range map[string]struct {
		mime  string
		least int // frames of 50
	}{"a.webm": {webrtc.MimeTypeVP8, 48}, "a.ivf": {webrtc.MimeTypeVP8, 48}, "a.mp4": {webrtc.MimeTypeH264, 22}, "a.mkv": {webrtc.MimeTypeH264, 48}} {
		recorder, path := newRecorder(t, name, Options{})
		writeAll(t, addTrack(t, recorder, test.mime), framesOf(t, videoClips(t)[test.mime])...)
		recorder.file.sync()
		data, err := os.ReadFile(path) // not closed
		if err != nil {
			t.Fatal(err)
		}
		for _, lost := range []int{0, 100} {
			cut := mediatest.WriteFile(t, name, data[:len(data)-lost])
			raw := mediatest.FFmpegTolerant(t, "-i", cut, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray", "-")
			if n := len(raw) / (160 * 120); n < test.least {
				t.Errorf("%s without the last %d bytes plays %d frames, want %d", name, lost, n, test.least)
			}
		}
	}
}

// TestCollectedWrites: a regular file is written after 64 KiB, after half a second, at each tick
// and before it is patched, and counts what was collected.
func TestCollectedWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a.webm")
		f, err := openFile(path, false)
		if err != nil {
			t.Fatal(err)
		}
		size := int64(0)
		write := func(n int) {
			t.Helper()
			if _, err := f.Write(make([]byte, n)); err != nil {
				t.Fatal(err)
			}
			if size += int64(n); f.Size() != size {
				t.Errorf("size is %d, want %d", f.Size(), size)
			}
		}
		has := func(want int64) {
			t.Helper()
			synctest.Wait()
			if info, err := os.Stat(path); err != nil || info.Size() != want {
				t.Errorf("the file has %d bytes (%v), want %d", info.Size(), err, want)
			}
		}
		write(bufferSize / 2)
		has(0)
		write(bufferSize / 2)
		has(size)
		write(100)
		time.Sleep(bufferTime - 1)
		write(100)
		has(size - 200)
		time.Sleep(time.Nanosecond)
		write(100)
		has(size)
		write(100)
		time.Sleep(syncInterval)
		has(size)
		write(100)
		if err := f.Patch(0, []byte("parley")); err != nil {
			t.Fatal(err)
		}
		has(size)
		write(100)
		if removed, err := f.Close(); removed || err != nil {
			t.Errorf("Close returns %t, %v", removed, err)
		}
		has(size)
	})
}
