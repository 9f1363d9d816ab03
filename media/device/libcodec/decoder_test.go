//go:build linux && cgo

package libcodec

import (
	"image"
	"image/color"
	"math"
	"testing"

	"github.com/pion/webrtc/v4"

	"parley/media/decoder"
)

// bars returns a frame of three vertical bars, which move.
func bars(width, height, at int) *image.YCbCr {
	p := image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
	for y := range height {
		for x := range width {
			c := barColour((x + at) * 3 / width % 3)
			p.Y[p.YOffset(x, y)], p.Cb[p.COffset(x, y)], p.Cr[p.COffset(x, y)] = c.Y, c.Cb, c.Cr
		}
	}
	return p
}

func barColour(n int) color.YCbCr {
	return []color.YCbCr{{Y: 80, Cb: 90, Cr: 220}, {Y: 150, Cb: 60, Cr: 60}, {Y: 60, Cb: 220, Cr: 110}}[n]
}

// TestDecoders decodes the output of each encoder of this build, in several sizes one after the
// other, and compares the colours of the frames.
func TestDecoders(t *testing.T) {
	for _, mime := range Codecs() {
		if mime == webrtc.MimeTypeOpus {
			continue
		}
		for name, newDecoder := range map[string]decoder.NewFunc{"own": NewDecoder, "ffmpeg": decoder.NewFFmpeg} {
			t.Run(mime+" "+name, func(t *testing.T) {
				d, err := newDecoder(mime)
				if err != nil {
					t.Fatal(err)
				}
				defer d.Close()
				if d.KeyFramesOnly() {
					t.Error("only key frames are decoded")
				}
				decodeSizes(t, mime, d, name == "own")
			})
		}
	}
}

func decodeSizes(t *testing.T, mime string, d decoder.Decoder, own bool) {
	for _, size := range []image.Point{{160, 120}, {96, 54}, {200, 150}} {
		e := NewVideoEncoder(mime, 30)
		shown := 0
		for n := range 100_000 { // ffmpeg decodes in another process
			frame, err := e.Encode(bars(size.X, size.Y, n*4), frameTime(n), n == 0, 2_000_000)
			if err != nil {
				t.Fatal(err)
			}
			if len(frame) == 0 {
				continue
			}
			img, err := d.Decode(frame)
			if err != nil {
				t.Fatalf("frame %d: %v", n, err)
			}
			if img == nil {
				if own {
					t.Fatalf("frame %d is not decoded", n)
				}
				continue
			}
			shown++
			if img.Bounds().Dx() != size.X || img.Bounds().Dy() != size.Y {
				t.Fatalf("frame %d is %v, want %v", n, img.Bounds(), size)
			}
			if own {
				compareBars(t, img, n*4)
			}
			if shown >= 15 {
				break
			}
		}
		e.Close()
		if shown < 15 {
			t.Errorf("%v: %d frames, want 15", size, shown)
		}
	}
}

// compareBars compares the colours in the middle of each bar.
func compareBars(t *testing.T, img image.Image, at int) {
	t.Helper()
	width := img.Bounds().Dx()
	for n := range 3 {
		x := ((2*n+1)*width/6 - at%width + width) % width
		if x < 8 || x > width-8 {
			continue // at the edge
		}
		got := color.YCbCrModel.Convert(img.At(x, img.Bounds().Dy()/2)).(color.YCbCr)
		want := barColour(n)
		for _, d := range []float64{float64(got.Y) - float64(want.Y), float64(got.Cb) - float64(want.Cb), float64(got.Cr) - float64(want.Cr)} {
			if math.Abs(d) > 16 {
				t.Fatalf("bar %d at %d is %v, want %v", n, x, got, want)
			}
		}
	}
}

// TestDecoderGarbage decodes invalid frames, and then a key frame.
func TestDecoderGarbage(t *testing.T) {
	for _, mime := range Codecs() {
		if mime == webrtc.MimeTypeOpus {
			continue
		}
		d, err := NewDecoder(mime)
		if err != nil {
			t.Fatal(err)
		}
		e := NewVideoEncoder(mime, 30)
		key, err := e.Encode(bars(64, 64, 0), frameTime(0), true, 0)
		if err != nil {
			t.Fatal(err)
		}
		key = append([]byte(nil), key...)
		for _, junk := range [][]byte{nil, {0}, {0, 0, 0, 1}, []byte("hello, world, this is no frame"), key[:len(key)/2], {0, 0, 0, 1, 0x65, 0xFF, 0xFF}} {
			_, _ = d.Decode(junk) // an error or nothing
			_, _ = d.Decode(key)
			if img, err := d.Decode(key); err != nil || img == nil || img.Bounds().Dx() != 64 {
				t.Errorf("%s: after %q the key frame gives %v, %v", mime, junk, img != nil, err)
			}
		}
		e.Close()
		d.Close()
		d.Close()
	}
}
