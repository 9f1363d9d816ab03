package testsignal

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"math/rand/v2"
	"testing"
	"time"

	"parley/media/codec"

	"golang.org/x/image/draw"
	"golang.org/x/image/vp8"
)

func decodeVP8(t testing.TB, frame []byte) image.Image {
	t.Helper()
	d := vp8.NewDecoder()
	d.Init(bytes.NewReader(frame), len(frame))
	if _, err := d.DecodeFrameHeader(); err != nil {
		t.Fatal(err)
	}
	img, err := d.DecodeFrame()
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// TestFrameIDThroughVP8: the frame ID survives the codec at every size, odd ones too, and low
// quality.
func TestFrameIDThroughVP8(t *testing.T) {
	for _, size := range []image.Point{{64, 48}, {65, 49}, {160, 120}, {320, 240}, {321, 241}, {640, 480}, {1279, 719}} {
		pattern := newPattern(size.X, size.Y)
		for _, quality := range []float32{minQuality, defaultQuality, maxQuality} {
			if quality < defaultQuality && size.X < 160 {
				continue // cells of three pixels do not survive everything
			}
			encoder, err := NewVP8Encoder(0, 15)
			if err != nil {
				t.Fatal(err)
			}
			encoder.options.Quality = quality
			for _, want := range []uint32{0, 1, 12345, 1<<31 - 1, 1<<32 - 1} {
				if size.X > 321 && want != 12345 {
					continue // one is enough of what takes long
				}
				data, err := encoder.Encode(pattern.Render(want, time.Duration(want), time.Unix(int64(want), 0)))
				if err != nil {
					t.Fatal(err)
				}
				if p := codec.ParseVP8(data); !p.Key || p.Width != size.X || p.Height != size.Y {
					t.Fatalf("%v: header says %+v", size, p)
				}
				img := decodeVP8(t, data)
				if img.Bounds().Size() != size {
					t.Fatalf("%v decodes to %v", size, img.Bounds())
				}
				if got, ok := ReadFrameID(img); !ok || got != want {
					t.Errorf("%v at quality %v: frame ID is %d, %v; want %d", size, quality, got, ok, want)
				}
			}
		}
	}
}

func TestFrameIDScaled(t *testing.T) {
	pattern := newPattern(640, 480)
	frame := pattern.Render(987654321, time.Second, time.Unix(0, 0))
	for _, size := range []image.Point{{320, 240}, {200, 150}, {1920, 1080}, {333, 111}} {
		scaled := image.NewRGBA(image.Rectangle{Max: size})
		draw.BiLinear.Scale(scaled, scaled.Rect, frame, frame.Rect, draw.Src, nil)
		if got, ok := ReadFrameID(scaled); !ok || got != 987654321 {
			t.Errorf("%v: frame ID is %d, %v", size, got, ok)
		}
	}
}

// TestFrameIDAbsent: frames without a frame ID have none, whatever they show.
func TestFrameIDAbsent(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	found := 0
	for range 2000 {
		img := image.NewGray(image.Rect(0, 0, 44, 16))
		for y := range 16 {
			for cell := range 22 {
				shade := color.Gray{Y: byte(random.IntN(2) * 255)}
				img.SetGray(2*cell, y/8*8+y%8, shade)
				img.SetGray(2*cell+1, y, shade)
			}
		}
		if _, ok := ReadFrameID(img); ok {
			found++
		}
	}
	// One in 16 has the right references, and one of 256 of these the right checksum.
	if found > 10 {
		t.Errorf("%d of 2000 random frames have a frame ID", found)
	}
	for _, img := range []image.Image{image.NewGray(image.Rect(0, 0, 320, 240)), image.NewGray(image.Rect(0, 0, 3, 3)), image.NewGray(image.Rectangle{})} {
		if _, ok := ReadFrameID(img); ok {
			t.Errorf("an empty frame of %v has a frame ID", img.Bounds())
		}
	}
}

func bytesAsNumbers(b []byte) []int {
	all := make([]int, len(b))
	for i, v := range b {
		all[i] = int(v)
	}
	return all
}

func TestVP8Chunk(t *testing.T) {
	riff := func(chunks string) []byte { return []byte("RIFF\x00\x00\x00\x00WEBP" + chunks) }
	frame, err := vp8Chunk(riff("VP8X\x03\x00\x00\x00abc\x00VP8 \x01\x00\x00\x00x\x00"))
	if err != nil || string(frame) != "x" {
		t.Errorf("frame is %q, error %v", frame, err)
	}
	for _, broken := range []string{"", "VP8 ", "VP8 \x05\x00\x00\x00abc", "ALPH\x01\x00\x00\x00a\x00", "VP8L\x00\x00\x00\x00", "JUNK\xff\xff\xff\xff"} {
		if frame, err := vp8Chunk(riff(broken)); err == nil {
			t.Errorf("%q gives %q", broken, frame)
		}
	}
	if _, err := vp8Chunk([]byte("RIFX")); err == nil {
		t.Error("a file that is not WebP is read")
	}
}

// TestBitrate: the encoder keeps near its bitrate.
func TestBitrate(t *testing.T) {
	for _, bitrate := range []int{450_000, 800_000} {
		encoder, err := NewVP8Encoder(bitrate, 15)
		if err != nil {
			t.Fatal(err)
		}
		pattern, size := newPattern(320, 240), 0
		for frame := range uint32(75) {
			data, err := encoder.Encode(pattern.Render(frame, time.Duration(frame)*time.Second/15, time.Unix(0, 0)))
			if err != nil {
				t.Fatal(err)
			}
			if frame >= 30 {
				size += len(data)
			}
		}
		if got := float64(size*8) / 3; got < 0.75*float64(bitrate) || got > 1.15*float64(bitrate) {
			t.Errorf("got %.0f bit/s, want %d", got, bitrate)
		}
	}
}

func FuzzFrameID(f *testing.F) {
	f.Add(uint32(7), 44, 16)
	f.Add(uint32(1<<32-1), 45, 17)
	f.Fuzz(func(t *testing.T, frame uint32, width, height int) {
		if width < 2*frameIDCells || height < frameIDShare*frameIDRows || width > 500 || height > 500 {
			ReadFrameID(image.NewGray(image.Rect(0, 0, max(0, min(width, 500)), max(0, min(height, 500)))))
			return
		}
		p := &Pattern{img: image.NewRGBA(image.Rect(0, 0, width, height))}
		p.drawFrameID(frame)
		if got, ok := ReadFrameID(p.img); !ok || got != frame {
			t.Errorf("frame ID of %d by %d is %d, %v; want %d", width, height, got, ok, frame)
		}
	})
}

// BenchmarkPattern measures one frame of the test video, rendered and encoded.
func BenchmarkPattern(b *testing.B) {
	for _, size := range []image.Point{{320, 240}, {640, 480}} {
		b.Run(fmt.Sprintf("%dx%d", size.X, size.Y), func(b *testing.B) {
			encoder, err := NewVP8Encoder(0, DefaultFrameRate)
			if err != nil {
				b.Fatal(err)
			}
			pattern := newPattern(size.X, size.Y)
			b.ReportAllocs()
			frame, size := uint32(0), 0
			for b.Loop() {
				at := time.Duration(frame) * time.Second / DefaultFrameRate
				data, err := encoder.Encode(pattern.Render(frame, at, time.Unix(int64(frame), 0)))
				if err != nil {
					b.Fatal(err)
				}
				size += len(data)
				frame++
			}
			b.ReportMetric(float64(size)/float64(b.N), "bytes/frame")
		})
	}
}

func BenchmarkReadFrameID(b *testing.B) {
	encoder, err := NewVP8Encoder(0, DefaultFrameRate)
	if err != nil {
		b.Fatal(err)
	}
	data, err := encoder.Encode(newPattern(320, 240).Render(7, 0, time.Unix(0, 0)))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if n, ok := ReadFrameID(decodeVP8(b, data)); !ok || n != 7 {
			b.Fatal("not read")
		}
	}
}
