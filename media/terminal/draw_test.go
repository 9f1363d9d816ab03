package terminal

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi/kitty"
	"github.com/charmbracelet/x/ansi/sixel"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quarters returns an image of red, green, blue and white.
func quarters(width, height int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			img.Set(x, y, quarter(x*2/width, y*2/height))
		}
	}
	return img
}

func quarter(x, y int) color.RGBA {
	return [2][2]color.RGBA{{{255, 0, 0, 255}, {0, 255, 0, 255}}, {{0, 0, 255, 255}, {255, 255, 255, 255}}}[y][x]
}

func sameQuarters(t *testing.T, name string, img image.Image, width, height int) {
	t.Helper()
	if img.Bounds().Dx() != width || img.Bounds().Dy() < height {
		t.Fatalf("%s: size is %v, want %dx%d", name, img.Bounds(), width, height)
	}
	for y := range 2 {
		for x := range 2 {
			r, g, b, _ := img.At(img.Bounds().Min.X+(2*x+1)*width/4, img.Bounds().Min.Y+(2*y+1)*height/4).RGBA()
			if got, want := (color.RGBA{byte(r >> 8), byte(g >> 8), byte(b >> 8), 255}), quarter(x, y); got != want {
				t.Errorf("%s: quarter %d,%d is %v, want %v", name, x, y, got, want)
			}
		}
	}
}

// TestSixel decodes the drawing with the decoder of another project.
func TestSixel(t *testing.T) {
	var b bytes.Buffer
	Sixel.Draw(&b, quarters(100, 60), 3, 5, image.Pt(10, 3))
	text, ok := strings.CutPrefix(b.String(), "\x1b[3;5H\x1bP0;1q")
	if text, ok2 := strings.CutSuffix(text, "\x1b\\"); !ok || !ok2 {
		t.Fatalf("it is %q", text[:40])
	} else if img, err := new(sixel.Decoder).Decode(strings.NewReader(text)); err != nil {
		t.Fatal(err)
	} else {
		sameQuarters(t, "sixel", img, 100, 60)
	}
}

// TestKitty decodes the drawing with the decoder of another project, and checks the length of the
// escape sequences.
func TestKitty(t *testing.T) {
	img := quarters(120, 80)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range img.Pix { // so that it does not fit into one sequence
		if i%4 < 3 && (i/4)%120 < 20 {
			img.Pix[i] = byte(random.Uint32())
		}
	}
	var b bytes.Buffer
	Kitty.Draw(&b, img, 1, 1, image.Pt(12, 4))
	parts := regexp.MustCompile(`\x1b_G([^;]*);([^\x1b]*)\x1b\\`).FindAllStringSubmatch(b.String(), -1)
	var data strings.Builder
	for i, p := range parts {
		if len(p[2]) > 4096 || strings.HasSuffix(p[1], "m=1") != (i < len(parts)-1) {
			t.Errorf("part %d has %d bytes, %s", i, len(p[2]), p[1])
		}
		data.WriteString(p[2])
	}
	if len(parts) < 2 || !strings.Contains(parts[0][1], ",c=12,r=4,") || !strings.Contains(parts[0][1], "s=120,v=80") {
		t.Fatalf("%d parts, the first is %s", len(parts), parts[0][1])
	}
	got, err := (&kitty.Decoder{Format: kitty.RGB, Width: 120, Height: 80, Decompress: true}).Decode(base64.NewDecoder(base64.StdEncoding, strings.NewReader(data.String())))
	if err != nil {
		t.Fatal(err)
	}
	sameQuarters(t, "kitty", got, 120, 80)
	for y := range 80 {
		for x := range 120 {
			if r, g, b, _ := got.At(x, y).RGBA(); (color.RGBA{byte(r >> 8), byte(g >> 8), byte(b >> 8), 255}) != img.RGBAAt(x, y) {
				t.Fatalf("pixel %d,%d differs", x, y)
			}
		}
	}
}

// TestBlocks compares the text of both modes, and the numbers of some colours.
func TestBlocks(t *testing.T) {
	for m, want := range map[Mode]string{
		Blocks:    "\x1b[2;3H\x1b[38;2;255;0;0m\x1b[48;2;0;0;255m▀▀\x1b[38;2;0;255;0m\x1b[48;2;255;255;255m▀▀\x1b[0m",
		Blocks256: "\x1b[2;3H\x1b[38;5;196m\x1b[48;5;21m▀▀\x1b[38;5;46m\x1b[48;5;231m▀▀\x1b[0m",
	} {
		var b bytes.Buffer
		m.Draw(&b, quarters(4, 2), 2, 3, image.Pt(4, 1))
		if b.String() != want {
			t.Errorf("%s: %q", m, b.String())
		}
	}
	for p, want := range map[[3]byte]int{{0, 0, 0}: 16, {128, 128, 128}: 244, {8, 8, 8}: 232, {255, 135, 0}: 208} {
		if got := xtermColor(p); got != want {
			t.Errorf("%v is %d, want %d", p, got, want)
		}
	}
}

// TestFit compares the sizes of images of various shapes in various terminals.
func TestFit(t *testing.T) {
	for _, test := range []struct {
		mode          Mode
		img           image.Point
		within        Size
		pixels, cells image.Point
	}{
		{Blocks, image.Pt(640, 480), Size{80, 24, 0, 0}, image.Pt(64, 48), image.Pt(64, 24)},
		{Blocks, image.Pt(640, 480), Size{40, 24, 10, 20}, image.Pt(40, 30), image.Pt(40, 15)},
		{Blocks256, image.Pt(480, 640), Size{80, 20, 9, 18}, image.Pt(30, 40), image.Pt(30, 20)},
		{Sixel, image.Pt(640, 480), Size{80, 24, 8, 16}, image.Pt(512, 384), image.Pt(64, 24)},
		{Kitty, image.Pt(1920, 1080), Size{200, 60, 20, 40}, image.Pt(1000, 560), image.Pt(200, 56)},
		{Sixel, image.Pt(1, 1000), Size{80, 24, 8, 16}, image.Pt(8, 384), image.Pt(1, 24)},
		{Kitty, image.Pt(0, 0), Size{80, 24, 8, 16}, image.Pt(0, 0), image.Pt(0, 0)},
	} {
		if pixels, cells := test.mode.Fit(test.img, test.within); pixels != test.pixels || cells != test.cells {
			t.Errorf("%v in %v: %v in %v cells, want %v in %v", test.img, test.within, pixels, cells, test.pixels, test.cells)
		}
	}
}

// TestChoose chooses a mode by the answers of various terminals.
func TestChoose(t *testing.T) {
	for _, test := range []struct {
		answers, term, colour, want string
	}{
		{"\x1b_Gi=31;OK\x1b\\\x1b[?62;c", "xterm-kitty", "truecolor", "kitty"},
		{"\x1b_Gi=31;ENOTSUPPORTED:no\x1b\\\x1b[?62;4c", "foot", "truecolor", "sixel"},
		{"\x1b[?63;1;2;4;6;9;15;22c", "mlterm", "", "sixel"},
		{"\x1b[?4;6c", "vt132", "", "256"}, // a VT132, no sixels
		{"\x1b[?1;2c", "tmux-256color", "truecolor", "blocks"},
		{"", "xterm-direct", "", "blocks"},
		{"", "xterm-256color", "", "256"},
		{"", "dumb", "truecolor", "none"}, {"", "", "", "none"},
	} {
		got := "none"
		if m, ok := Choose(test.answers, test.term, test.colour); ok {
			got = m.String()
			if back, ok := Parse(got); !ok || back != m {
				t.Errorf("%q is read as %v", got, back)
			}
		}
		if got != test.want {
			t.Errorf("%+v: %s", test, got)
		}
	}
	for answers, want := range map[string]bool{"": false, "\x1b[?1;2": false, "\x1b[?1;2c": true, "\x1b_Gi=31;OK\x1b\\": false, "x\x1b[?6c": true, "\x1b[?1$y": false} {
		if Answered(answers) != want {
			t.Errorf("%q: %v", answers, !want)
		}
	}
}
