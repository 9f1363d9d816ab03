//go:build linux && cgo

package device

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

// paint draws frame n of 30 frames/s: a ramp that turns, so that each frame has a size.
func paint(p *rawFrame, width, height, n int) {
	p.resize(width, height)
	p.at = time.Unix(0, 0).Add(time.Duration(n) * time.Second / 30)
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
}

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
			e := &resizingEncoder{mime: mime, rate: 30}
			defer e.close()
			var p rawFrame
			var keys []int
			for n := range 60 {
				if n == 0 {
					paint(&p, 320, 240, 0)
				}
				p.at = p.at.Add(time.Second / 30)
				p.Y[n]++ // a small change: a new scene causes a key frame
				frame, err := e.encode(&p, n == 20 || n == 45, 500_000)
				if err != nil {
					t.Fatal(err)
				}
				if len(frame) > 0 && isKey(mime, frame) {
					keys = append(keys, n)
				}
			}
			if len(keys) != 3 || keys[0] != 0 || keys[1] < 20 || keys[1] > 21 || keys[2] < 45 || keys[2] > 46 {
				t.Fatalf("key frames at %v, asked for at 20 and 45", keys)
			}
		})
	}
}

// TestBitrate compares the size of two seconds at each of three bitrates.
func TestBitrate(t *testing.T) {
	for _, mime := range videoMimes() {
		t.Run(mime, func(t *testing.T) {
			e := &resizingEncoder{mime: mime, rate: 30}
			defer e.close()
			var p rawFrame
			n := 0
			measure := func(bitrate int) int {
				size := 0
				for i := range 90 {
					paint(&p, 320, 240, n)
					frame, err := e.encode(&p, false, bitrate)
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
				t.Logf("asked for %d bit/s, got %d", want, got)
				if got > want*13/10 || got < want/3 {
					t.Errorf("asked for %d bit/s, got %d", want, got)
				}
			}
		})
	}
}

// TestSizeChange encodes frames of several sizes, as of a camera that is back in another mode.
func TestSizeChange(t *testing.T) {
	for _, mime := range videoMimes() {
		t.Run(mime, func(t *testing.T) {
			e := &resizingEncoder{mime: mime, rate: 30}
			defer e.close()
			var p rawFrame
			for n, size := range []image.Point{{320, 240}, {320, 240}, {160, 120}, {16, 16}, {640, 480}} {
				paint(&p, size.X, size.Y, n)
				frame, err := e.encode(&p, false, 0)
				if err != nil {
					t.Fatalf("%v: %v", size, err)
				}
				if n != 1 && !isKey(mime, frame) {
					t.Errorf("the first picture of %v is no key frame", size)
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
	e := &resizingEncoder{mime: webrtc.MimeTypeH264, rate: 30}
	defer e.close()
	var p rawFrame
	var stream bytes.Buffer
	const count = 30
	for n := range count {
		paint(&p, 320, 240, n)
		frame, err := e.encode(&p, false, 4_000_000)
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
		t.Fatalf("%d bytes came back, want %d pictures of 320x240", len(raw), count)
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
		t.Errorf("the last picture is %.1f dB from what went in", psnr)
	}
}

// TestEncoderTrace runs the encoder in a process of its own, whose standard error must be empty.
func TestEncoderTrace(t *testing.T) {
	if os.Getenv("PARLEY_TEST_QUIET") == "1" {
		e := &resizingEncoder{mime: webrtc.MimeTypeH264, rate: 30}
		defer e.close()
		var p rawFrame
		paint(&p, 320, 240, 0)
		if _, err := e.encode(&p, false, 300_000); err != nil {
			t.Fatal(err)
		}
		List()
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
