//go:build unix

package adapter

import (
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// theme is the colors of a terminal.
type theme struct{ foreground, background color.Color }

// screenshot draws what tmux captures of a screen with its colors, each character in a cell of 7 by
// 15 pixels. Of the characters it draws half blocks, and of the others a bar.
func screenshot(captured string, columns, rows int, t theme) image.Image {
	const width, height = 7, 15
	img := image.NewRGBA(image.Rect(0, 0, columns*width, rows*height))
	fill := func(x, y, h int, c color.Color) {
		draw.Draw(img, image.Rect(x, y, x+width, y+h), image.NewUniform(c), image.Point{}, draw.Src)
	}
	draw.Draw(img, img.Bounds(), image.NewUniform(t.background), image.Point{}, draw.Src)
	palette := map[string]color.Color{"16": color.Black, "231": color.White}
	foreground, background := t.foreground, t.background
	for y, row := range strings.Split(captured, "\n") {
		x := 0
		for row != "" {
			if attributes, rest, ok := strings.Cut(strings.TrimPrefix(row, "\x1b["), "m"); ok && strings.HasPrefix(row, "\x1b[") {
				row = rest
				for codes := strings.Split(attributes, ";"); len(codes) > 0; codes = codes[1:] {
					switch codes[0] {
					case "", "0":
						foreground, background = t.foreground, t.background
					case "39":
						foreground = t.foreground
					case "49":
						background = t.background
					case "38":
						foreground, codes = palette[codes[2]], codes[2:]
					case "48":
						background, codes = palette[codes[2]], codes[2:]
					}
				}
				continue
			}
			r := []rune(row)[0]
			row = row[len(string(r)):]
			fill(x, y*height, height, background)
			switch r {
			case ' ':
			case '█':
				fill(x, y*height, height, foreground)
			case '▀':
				fill(x, y*height, height/2, foreground)
			case '▄':
				fill(x, y*height+height/2, height-height/2, foreground)
			default:
				fill(x, y*height+height/2, 2, foreground)
			}
			x += width
		}
	}
	return img
}

// decodeCode returns the text of the QR code in an image.
func decodeCode(t *testing.T, img image.Image) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "screen.png")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, img); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("zbarimg", "--quiet", "--raw", "--set", "disable", "--set", "qrcode.enable", path).Output()
	if err != nil {
		t.Errorf("zbarimg: %v (install zbar-tools)", err)
	}
	return strings.TrimSpace(string(out))
}

// TestQRCode decodes the QR code of a line, as terminals with dark and with light colors show it.
func TestQRCode(t *testing.T) {
	path, err := e2etest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	const columns, rows = 180, 100
	x := e2etest.StartTmux(t, columns, rows, path+" call --manual")
	line := ""
	x.Shows("the line", func([]string) bool {
		_, line, _ = strings.Cut(x.Run("capture-pane", "-p", "-J"), "answers with:\n")
		line = strings.TrimSpace(line)
		return len(line) > 200 && strings.HasPrefix(line, "parley-offer-1.")
	})
	captured := x.Run("capture-pane", "-p", "-e", "-N")
	for name, colors := range map[string]theme{
		"dark":  {color.Gray{0xc0}, color.Gray{0x18}},
		"light": {color.Gray{0x20}, color.Gray{0xf0}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := decodeCode(t, screenshot(captured, columns, rows, colors)); got != line {
				t.Errorf("got %q, want %q", got, line)
			}
		})
	}
	small := e2etest.StartTmux(t, 80, 24, path+" call --manual --video test --audio test")
	small.Shows("why there is no code", func(rows []string) bool {
		return strings.Contains(strings.Join(rows, ""), "this terminal is too small for a QR code of the line, which needs ")
	})
}
