//go:build !quick

package decoder

import (
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"parley/media"
	"parley/media/container/annexb"
	"parley/media/container/ivf"
	"parley/media/internal/mediatest"

	"github.com/pion/webrtc/v4"
)

// clip returns the frames of a clip of 160x120 as they are received, and its path.
func clip(t *testing.T, mime string, more ...string) (frames [][]byte, path string) {
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
	path = mediatest.Clip(t, name, append(append(options, "-g", "10", "-b:v", "2M"), more...)...)
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

// TestFFmpegOneKeyFrame decodes a stream that has a key frame at its start only, as browsers send
// it.
func TestFFmpegOneKeyFrame(t *testing.T) {
	for _, mime := range []string{webrtc.MimeTypeVP8, webrtc.MimeTypeVP9, webrtc.MimeTypeAV1, webrtc.MimeTypeH264} {
		t.Run(media.CodecName(mime), func(t *testing.T) {
			all, _ := clip(t, mime, "-g", "1000", "-keyint_min", "1000")
			d, err := NewFFmpeg(mime)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			if _, err := d.Decode(all[1]); err == nil {
				t.Error("decodes without a key frame")
			}
			for _, frame := range all {
				img, err := d.Decode(frame)
				if err != nil {
					t.Fatal(err)
				}
				if img != nil {
					return
				}
			}
			select {
			case <-d.(*ffmpegDecoder).run.latest:
			case <-time.After(30 * time.Second):
				t.Errorf("no frame is decoded of %d", len(all))
			}
		})
	}
}

// TestFFmpegSizeChange decodes a stream whose sender turns from 160x120 to 120x160, and compares
// frames with those of the files.
func TestFFmpegSizeChange(t *testing.T) {
	for _, mime := range []string{webrtc.MimeTypeVP8, webrtc.MimeTypeVP9, webrtc.MimeTypeAV1, webrtc.MimeTypeH264} {
		t.Run(media.CodecName(mime), func(t *testing.T) {
			d, err := NewFFmpeg(mime)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			for _, size := range []image.Point{{160, 120}, {120, 160}, {160, 120}} {
				options := []string{"-vf", "scale=120:160"}
				if size.X == 160 {
					options = nil
				}
				all, path := clip(t, mime, options...)
				luma, whole := size.X*size.Y, size.X*size.Y*3/2
				want := map[string]bool{}
				for raw := mediatest.FFmpeg(t, "-i", path, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"); len(raw) >= whole; raw = raw[whole:] {
					want[string(raw[:luma])] = true
				}
				for i, seen := 0, 0; seen < 3; i = (i + 1) % len(all) {
					img, err := d.Decode(all[i])
					if err != nil {
						t.Fatal(err)
					}
					if img == nil {
						continue
					}
					if img.Bounds().Size() != size {
						t.Fatalf("frame after %d frames of %v has %v", i, size, img.Bounds().Size())
					}
					if !want[string(img.(*image.YCbCr).Y)] {
						t.Fatalf("frame decoded after %d frames is not in the file", i)
					}
					seen++
				}
			}
		})
	}
}

// fakePlayer puts a shell script in the place of ffplay.
func fakePlayer(t *testing.T, script string) {
	t.Helper()
	path := mediatest.WriteFile(t, "ffplay", []byte("#!/bin/sh\n"+script))
	if err := os.Chmod(path, 0o700); err != nil { //nolint:gosec // it is executed
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Dir(path)+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// keyFrame returns the beginning of a VP8 key frame of 16x16, with so many bytes.
func keyFrame(size int) []byte {
	return append([]byte{0, 0, 0, 0x9d, 1, 0x2a, 16, 0, 16, 0}, make([]byte, size-10)...)
}

// TestWindowRotates changes the rotation: with the next key frame the program starts again.
func TestWindowRotates(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	fakePlayer(t, `echo "$*" >>`+log+`; exec cat >/dev/null`)
	d, err := NewWindow("title", func(text string) { t.Error(text) })(webrtc.MimeTypeVP8)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	decode := func(rotation int, frame []byte, want bool) {
		t.Helper()
		d.(*window).setRotation(rotation)
		if img, err := d.Decode(frame); img != nil || (err == nil) != want {
			t.Fatalf("rotation %d: %v, %v", rotation, img, err)
		}
	}
	decode(0, keyFrame(100), true)
	first := d.(*window).program
	decode(0, []byte{1, 2, 3}, true)
	decode(90, []byte{1, 2, 3}, false) // no key frame
	<-first.process.Exited()
	decode(90, keyFrame(100), true)
	_ = d.(*window).program.input.Close()
	<-d.(*window).program.process.Exited()
	text, err := os.ReadFile(log)
	if lines := strings.Split(strings.TrimSpace(string(text)), "\n"); err != nil || !strings.Contains(lines[len(lines)-1], "-vf transpose=clock") {
		t.Errorf("the program was started with %q, %v", lines, err)
	}
}

// TestWindowClosed has the program end, or stop reading its input. There is one warning.
func TestWindowClosed(t *testing.T) {
	for name, script := range map[string]string{"ends": "echo bye >&2", "stalls": "exec sleep 1000"} {
		t.Run(name, func(t *testing.T) {
			fakePlayer(t, script)
			var warnings []string
			d, err := NewWindow("title", func(text string) { warnings = append(warnings, text) })(webrtc.MimeTypeVP8)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			for range 3 {
				if _, err := d.Decode(keyFrame(1 << 20)); err != nil { // more than a pipe holds
					t.Fatal(err)
				}
			}
			if len(warnings) != 1 || !strings.HasPrefix(warnings[0], "the window of ffplay is closed") {
				t.Errorf("warnings are %q, want one", warnings)
			}
		})
	}
}
