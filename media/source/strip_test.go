package source

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"parley/media/codec"

	"golang.org/x/image/draw"
)

// TestStripThroughVP8: the number survives the codec at every size, odd ones too, and low quality.
func TestStripThroughVP8(t *testing.T) {
	for _, size := range []image.Point{{64, 48}, {65, 49}, {160, 120}, {320, 240}, {321, 241}, {640, 480}, {1279, 719}} {
		card := newCard(size.X, size.Y)
		for _, quality := range []float32{minQuality, defaultQuality, maxQuality} {
			if quality < defaultQuality && size.X < 160 {
				continue // cells of three pixels do not survive everything
			}
			encoder, err := newVP8Encoder(0, 15)
			if err != nil {
				t.Fatal(err)
			}
			encoder.options.Quality = quality
			for _, want := range []uint32{0, 1, 12345, 1<<31 - 1, 1<<32 - 1} {
				if size.X > 321 && want != 12345 {
					continue // one is enough of what takes long
				}
				data, err := encoder.encode(card.Paint(want, time.Duration(want), time.Unix(int64(want), 0)))
				if err != nil {
					t.Fatal(err)
				}
				if p := codec.ParseVP8(data); !p.Key || p.Width != size.X || p.Height != size.Y {
					t.Fatalf("%v: header says %+v", size, p)
				}
				img, ok := decodeVP8(data)
				if !ok || img.Bounds().Size() != size {
					t.Fatalf("%v does not decode", size)
				}
				if got, ok := ReadStrip(img); !ok || got != want {
					t.Errorf("%v at quality %v: strip is %d, %v; want %d", size, quality, got, ok, want)
				}
			}
		}
	}
}

func TestStripScaled(t *testing.T) {
	card := newCard(640, 480)
	picture := card.Paint(987654321, time.Second, time.Unix(0, 0))
	for _, size := range []image.Point{{320, 240}, {200, 150}, {1920, 1080}, {333, 111}} {
		scaled := image.NewRGBA(image.Rectangle{Max: size})
		draw.BiLinear.Scale(scaled, scaled.Rect, picture, picture.Rect, draw.Src, nil)
		if got, ok := ReadStrip(scaled); !ok || got != 987654321 {
			t.Errorf("%v: strip is %d, %v", size, got, ok)
		}
	}
}

// TestStripAbsent: pictures without a strip have none, whatever is on them.
func TestStripAbsent(t *testing.T) {
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
		if _, ok := ReadStrip(img); ok {
			found++
		}
	}
	// One in 16 has the right references, and one of 256 of these the right checksum.
	if found > 10 {
		t.Errorf("%d of 2000 random pictures have a strip", found)
	}
	for _, img := range []image.Image{image.NewGray(image.Rect(0, 0, 320, 240)), image.NewGray(image.Rect(0, 0, 3, 3)), image.NewGray(image.Rectangle{})} {
		if _, ok := ReadStrip(img); ok {
			t.Errorf("an empty picture of %v has a strip", img.Bounds())
		}
	}
}

// TestStripInJavaScript runs the code of ReadStrip's documentation in Node.
func TestStripInJavaScript(t *testing.T) {
	source, err := os.ReadFile("strip.go")
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	for line := range strings.Lines(string(source)) {
		if code, ok := strings.CutPrefix(line, "//\t"); ok && (script.Len() > 0 || strings.HasPrefix(code, "function")) {
			script.WriteString(code)
		}
	}
	const w, h = 320, 240
	encoder, err := newVP8Encoder(0, 15)
	if err != nil {
		t.Fatal(err)
	}
	card := newCard(w, h)
	for _, want := range []uint32{0, 4711, 1<<32 - 1} {
		data, err := encoder.encode(card.Paint(want, 0, time.Unix(0, 0)))
		if err != nil {
			t.Fatal(err)
		}
		img, _ := decodeVP8(data)
		rgba := image.NewRGBA(img.Bounds())
		draw.Draw(rgba, rgba.Rect, img, image.Point{}, draw.Src)
		pixels, err := json.Marshal(bytesAsNumbers(rgba.Pix))
		if err != nil {
			t.Fatal(err)
		}
		program := fmt.Sprintf(`%s
const pixels = %s;
const context = { getImageData: (x, y) => ({ data: pixels.slice((y * %d + x) * 4, (y * %d + x) * 4 + 4) }) };
console.log(readStrip(context, %d, %d));`, script.String(), pixels, w, w, w, h)
		command := exec.Command("node", "-")
		command.Stdin = strings.NewReader(program)
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("node: %v\n%s", err, out)
		}
		if got := string(bytes.TrimSpace(out)); got != fmt.Sprint(want) {
			t.Errorf("strip is %s, want %d", got, want)
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
		t.Error("what is no WebP file is read")
	}
}

// TestBitrate: the encoder keeps near what it is asked for.
func TestBitrate(t *testing.T) {
	for _, bitrate := range []int{450_000, 800_000} {
		encoder, err := newVP8Encoder(bitrate, 15)
		if err != nil {
			t.Fatal(err)
		}
		card, size := newCard(320, 240), 0
		for frame := range uint32(75) {
			data, err := encoder.encode(card.Paint(frame, time.Duration(frame)*time.Second/15, time.Unix(0, 0)))
			if err != nil {
				t.Fatal(err)
			}
			if frame >= 30 {
				size += len(data)
			}
		}
		if got := float64(size*8) / 3; got < 0.75*float64(bitrate) || got > 1.15*float64(bitrate) {
			t.Errorf("%d bit/s were asked for, and %.0f made", bitrate, got)
		}
	}
}
