//go:build linux && cgo

package libcodec

import (
	"bytes"
	"image"
	"math"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
)

// paint returns frame n of 30 frames/s: a ramp that turns, so that each frame has a size.
func paint(width, height, n int) *image.YCbCr {
	p := image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
	across, down := make([]float64, width), make([]float64, height)
	for x := range across {
		across[x] = 128 + 60*math.Sin(float64(x+3*n)/9)
	}
	for y := range down {
		down[y] = 40 * math.Cos(float64(y-2*n)/7)
	}
	for y := range height {
		for x := range width {
			p.Y[y*p.YStride+x] = uint8(across[x] + down[y])
		}
	}
	for i := range p.Cb {
		p.Cb[i], p.Cr[i] = uint8(64+n%64), uint8(192-n%64)
	}
	return p
}

// frameTime returns the capture time of frame n of 30 frames/s.
func frameTime(n int) time.Time { return time.Unix(0, 0).Add(time.Duration(n) * time.Second / 30) }

func videoMimes() []string {
	var all []string
	for _, mime := range Codecs() {
		if strings.HasPrefix(mime, "video/") {
			all = append(all, mime)
		}
	}
	return all
}

// isKey reports whether a frame is a key frame.
func isKey(mime string, frame []byte) bool {
	switch mime {
	case webrtc.MimeTypeVP8:
		return frame[0]&1 == 0 // RFC 6386 section 9.1
	case webrtc.MimeTypeVP9:
		return frame[0]&0xC == 0 && frame[0]>>6 == 2 // show_existing_frame and frame_type of the VP9 bitstream, section 6.2
	}
	for _, nal := range bytes.Split(frame, []byte{0, 0, 1})[1:] {
		if len(nal) > 0 && nal[0]&31 == 5 {
			return true
		}
	}
	return false
}

func TestKeyFrameOnRequest(t *testing.T) {
	for _, mime := range videoMimes() {
		t.Run(mime, func(t *testing.T) {
			e := NewVideoEncoder(mime, 30)
			defer e.Close()
			p := paint(320, 240, 0)
			var keys []int
			for n := range 60 {
				p.Y[n]++ // a small change: a new scene causes a key frame
				frame, err := e.Encode(p, frameTime(n), n == 20 || n == 45, 500_000)
				if err != nil {
					t.Fatal(err)
				}
				if len(frame) > 0 && isKey(mime, frame) {
					keys = append(keys, n)
				}
			}
			if len(keys) != 3 || keys[0] != 0 || keys[1] < 20 || keys[1] > 21 || keys[2] < 45 || keys[2] > 46 {
				t.Fatalf("key frames are at %v, requested at 20 and 45", keys)
			}
		})
	}
}

// TestBitrate compares the size of two seconds at each of three bitrates.
func TestBitrate(t *testing.T) {
	for _, mime := range videoMimes() {
		t.Run(mime, func(t *testing.T) {
			e := NewVideoEncoder(mime, 30)
			defer e.Close()
			n := 0
			measure := func(bitrate int) int {
				size := 0
				for i := range 90 {
					frame, err := e.Encode(paint(320, 240, n), frameTime(n), false, bitrate)
					if err != nil {
						t.Fatal(err)
					}
					if n++; i >= 30 { // after a second
						size += len(frame)
					}
				}
				return size * 8 / 2
			}
			for _, want := range []int{800_000, 200_000, 600_000} {
				got := measure(want)
				t.Logf("bitrate %[2]d bit/s, want %[1]d", want, got)
				if got > want*13/10 || got < want/3 {
					t.Errorf("bitrate %[2]d bit/s, want %[1]d", want, got)
				}
			}
		})
	}
}

// TestSizeChange encodes frames of several sizes, as of a camera that is back in another mode.
func TestSizeChange(t *testing.T) {
	for _, mime := range videoMimes() {
		t.Run(mime, func(t *testing.T) {
			e := NewVideoEncoder(mime, 30)
			defer e.Close()
			for n, size := range []image.Point{{320, 240}, {320, 240}, {160, 120}, {16, 16}, {640, 480}} {
				frame, err := e.Encode(paint(size.X, size.Y, n), frameTime(n), false, 0)
				if err != nil {
					t.Fatalf("%v: %v", size, err)
				}
				if n != 1 && !isKey(mime, frame) {
					t.Errorf("the first frame of %v is no key frame", size)
				}
			}
		})
	}
}

// TestH264Decodes decodes with ffmpeg.
func TestH264Decodes(t *testing.T) {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Fatalf("%v; install ffmpeg (make deps does)", err)
	}
	e := NewVideoEncoder(webrtc.MimeTypeH264, 30)
	defer e.Close()
	var p *image.YCbCr
	var stream bytes.Buffer
	const count = 30
	for n := range count {
		p = paint(320, 240, n)
		frame, err := e.Encode(p, frameTime(n), false, 4_000_000)
		if err != nil {
			t.Fatal(err)
		}
		stream.Write(frame)
	}
	c := exec.Command("ffmpeg", "-v", "error", "-f", "h264", "-i", "-", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-")
	c.Stdin, c.Stderr = &stream, os.Stderr
	raw, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) != count*320*240*3/2 {
		t.Fatalf("%d bytes are decoded, want %d frames of 320x240", len(raw), count)
	}
	got := raw[(count-1)*320*240*3/2:][:320*240]
	sum := 0.0
	for i := range got { // p is the last frame, with equal rows
		d := float64(got[i]) - float64(p.Y[i/320*p.YStride+i%320])
		sum += d * d
	}
	psnr := 10 * math.Log10(255*255/(sum/float64(len(got))))
	t.Logf("PSNR %.1f dB", psnr)
	if psnr < 30 {
		t.Errorf("PSNR of the last frame is %.1f dB, want at least 30", psnr)
	}
}

// TestEncoderTrace runs the encoder in a process of its own, whose standard error must be empty.
func TestEncoderTrace(t *testing.T) {
	if os.Getenv("PARLEY_TEST_QUIET") == "1" {
		e := NewVideoEncoder(webrtc.MimeTypeH264, 30)
		defer e.Close()
		if _, err := e.Encode(paint(320, 240, 0), frameTime(0), false, 300_000); err != nil {
			t.Fatal(err)
		}
		return
	}
	c := exec.Command(os.Args[0], "-test.run=^TestEncoderTrace$")
	c.Env = append(os.Environ(), "PARLEY_TEST_QUIET=1")
	var stderr bytes.Buffer
	c.Stderr = &stderr
	if out, err := c.Output(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if stderr.Len() > 0 {
		t.Errorf("stderr has: %s", stderr.String())
	}
}
