//go:build !quick

package recorder

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"parley/media"
	"parley/media/internal/mediatest"

	"github.com/pion/webrtc/v4"
)

// TestFIFO records each format to a FIFO that ffmpeg reads: all frames arrive.
func TestFIFO(t *testing.T) {
	clips := videoClips(t)
	clips[webrtc.MimeTypeOpus] = opusClip(t)
	for _, f := range formats() {
		t.Run(f.extension, func(t *testing.T) {
			folder := t.TempDir()
			path, out := filepath.Join(folder, "fifo"+f.extension), filepath.Join(folder, "out.nut")
			if err := syscall.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
			recorder, _ := newRecorder(t, path, Options{})
			var all []recording
			var want []string
			for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
				i := slices.IndexFunc(f.codecs, func(mime string) bool { return media.KindOf(mime) == kind })
				if i < 0 {
					continue
				}
				mime, frames, name := f.codecs[i], []media.Frame(nil), "pcm_mulaw"
				if isG711(mime) {
					frames = g711Frames(t, mime)
				} else {
					frames, name = framesOf(t, clips[mime]), strings.ToLower(media.CodecName(mime))
				}
				all = append(all, recording{addTrack(t, recorder, mime), frames})
				want = append(want, name)
			}
			reader := exec.Command("ffmpeg", "-v", "error", "-nostdin", "-i", path, "-map", "0", "-c", "copy", out)
			var stderr strings.Builder
			reader.Stderr = &stderr
			if err := reader.Start(); err != nil {
				t.Fatal(err)
			}
			// The recorder opens the FIFO with the first frame, which needs its reader.
			opened, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			writeInOrder(t, all...)
			closeRecorder(t, recorder)
			if err := errors.Join(opened.Close(), reader.Wait()); err != nil || stderr.Len() > 0 {
				t.Fatalf("ffmpeg: %v\n%s", err, &stderr)
			}
			for i, s := range mediatest.Probe(t, out).Streams {
				n := len(all[i].frames)
				if f.extension == ".wav" { // has no packets
					n, s.Packets = 0, "0"
					hasTone(t, out, 440, 1.98)
				}
				if s.Codec != want[i] || mediatest.Number(t, s.Packets) != float64(n) {
					t.Errorf("stream %d has %s packets of %s, want %d of %s", i, s.Packets, s.Codec, n, want[i])
				}
			}
		})
	}
}

// TestFIFOWithoutReader drops frames until a process reads the FIFO, and says so if none does.
func TestFIFOWithoutReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.ogg")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	recorder, _ := newRecorder(t, path, Options{})
	writeAll(t, addTrack(t, recorder, webrtc.MimeTypeOpus), frameAt(webrtc.MimeTypeOpus, 0))
	err := recorder.Close()
	if want := path + ": not recorded although received: audio opus (no process reads the FIFO)"; err == nil || err.Error() != want {
		t.Errorf("Close returns %v, want %s", err, want)
	}

	recorder, _ = newRecorder(t, path, Options{})
	track := addTrack(t, recorder, webrtc.MimeTypeOpus)
	writeAll(t, track, frameAt(webrtc.MimeTypeOpus, 0))
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	writeAll(t, track, frameAt(webrtc.MimeTypeOpus, opusFrame))
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	for n := range 200 { // a page is written once it is full
		if err = track.WriteFrame(frameAt(webrtc.MimeTypeOpus, time.Duration(n+2)*opusFrame)); err != nil {
			break
		}
	}
	var file *media.FileError
	if !errors.Is(err, syscall.EPIPE) || !errors.As(err, &file) {
		t.Errorf("the error of a FIFO that is closed is %v", err)
	}
}

// TestDiskFull returns the error of the disk, from the Track and from Close.
func TestDiskFull(t *testing.T) {
	for _, f := range formats() {
		link := filepath.Join(t.TempDir(), "out"+f.extension)
		if err := os.Symlink("/dev/full", link); err != nil {
			t.Fatal(err)
		}
		mime := f.codecs[len(f.codecs)-1]
		recorder, _ := newRecorder(t, link, Options{Wait: time.Millisecond})
		track := addTrack(t, recorder, mime)
		var failed error
		for n := range 500 {
			f := frameAt(mime, time.Duration(n)*opusFrame)
			if mime == webrtc.MimeTypeH264 {
				f.Data = framesOf(t, videoClips(t)[mime])[0].Data
			}
			if failed = track.WriteFrame(f); failed != nil {
				break
			}
		}
		var file *media.FileError
		if !errors.As(failed, &file) || !strings.Contains(failed.Error(), "no space left") {
			t.Errorf("%s: error is %v", f.extension, failed)
		}
		if err := recorder.Close(); err == nil || failed == nil || err.Error() != failed.Error() {
			t.Errorf("%s: Close returns %v", f.extension, err)
		}
	}
}

// TestDiskFills leaves a file that plays, and has its duration, on a disk that fills up. It needs
// root, to mount the disk.
func TestDiskFills(t *testing.T) {
	folder := t.TempDir()
	clips := videoClips(t)
	for name, mime := range map[string]string{"a.webm": webrtc.MimeTypeVP8, "a.mp4": webrtc.MimeTypeH264, "a.ivf": webrtc.MimeTypeVP9} {
		t.Run(name, func(t *testing.T) {
			all := framesOf(t, clips[mime])
			whole, path := newRecorder(t, name, Options{})
			writeAll(t, addTrack(t, whole, mime), all...)
			closeRecorder(t, whole)
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, fmt.Sprintf("size=%d", info.Size()*3/4)); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := syscall.Unmount(folder, 0); err != nil {
					t.Error(err)
				}
			}()
			recorder, path := newRecorder(t, filepath.Join(folder, name), Options{})
			track := addTrack(t, recorder, mime)
			for _, f := range all {
				if err = track.WriteFrame(f); err != nil {
					break
				}
			}
			closed := recorder.Close()
			if !errors.Is(closed, syscall.ENOSPC) || err != nil && err.Error() != closed.Error() || !strings.HasPrefix(closed.Error(), path+": ") {
				t.Errorf("errors are %v, %v", err, closed)
			}
			p := mediatest.Probe(t, path)
			n := int(mediatest.Number(t, p.Streams[0].Frames))
			if d := mediatest.Number(t, p.Format.Duration); n < 20 || n > 45 || math.Abs(d-float64(n)/25) > 0.1 {
				t.Errorf("%d frames in %v s", n, d)
			}
		})
	}
}
