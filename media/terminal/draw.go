package terminal

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"fmt"
	"image"
	"strconv"
)

// Draw appends the text that draws an image at a row and column, counted from 1. The image has the
// size and cells that Fit returned. The position of the cursor after it is undefined.
func (m Mode) Draw(to *bytes.Buffer, img *image.RGBA, row, column int, cells image.Point) {
	switch m {
	case Kitty:
		moveCursor(to, row, column)
		drawKitty(to, img, cells)
	case Sixel:
		moveCursor(to, row, column)
		drawSixel(to, img)
	default:
		drawBlocks(to, img, row, column, m == Blocks)
	}
}

// Clear appends the text that removes what Draw drew and erasing rows does not.
func (m Mode) Clear(to *bytes.Buffer) {
	if m == Kitty {
		fmt.Fprintf(to, "\x1b_Ga=d,d=I,i=%d,q=2\x1b\\", kittyID)
	}
}

func moveCursor(to *bytes.Buffer, row, column int) { fmt.Fprintf(to, "\x1b[%d;%dH", row, column) }

// drawBlocks draws two pixels in each cell: ▀ in the colour of the upper one on that of the lower
// one.
func drawBlocks(to *bytes.Buffer, img *image.RGBA, row, column int, trueColor bool) {
	type pixel [3]byte
	at := func(x, y int) pixel {
		i := img.PixOffset(img.Rect.Min.X+x, img.Rect.Min.Y+y)
		return pixel(img.Pix[i : i+3])
	}
	for y := 0; y+1 < img.Rect.Dy(); y += 2 {
		moveCursor(to, row+y/2, column)
		var above, below pixel
		for x := range img.Rect.Dx() {
			if p := at(x, y); x == 0 || p != above {
				setColor(to, "38", p, trueColor)
				above = p
			}
			if p := at(x, y+1); x == 0 || p != below {
				setColor(to, "48", p, trueColor)
				below = p
			}
			to.WriteString("▀")
		}
		to.WriteString("\x1b[0m")
	}
}

// setColor appends the escape sequence (SGR) that sets the foreground (38) or background (48).
func setColor(to *bytes.Buffer, ground string, p [3]byte, trueColor bool) {
	to.WriteString("\x1b[")
	to.WriteString(ground)
	if !trueColor {
		to.WriteString(";5;")
		to.WriteString(strconv.Itoa(xtermColor(p)))
		to.WriteByte('m')
		return
	}
	to.WriteString(";2")
	for _, v := range p {
		to.WriteByte(';')
		to.WriteString(strconv.Itoa(int(v)))
	}
	to.WriteByte('m')
}

// xtermColor returns the nearest of the 256 colours of xterm: a cube of 6 by 6 by 6 from 16 on, and
// 24 greys from 232 on.
func xtermColor(p [3]byte) int {
	levels := [6]int{0, 95, 135, 175, 215, 255}
	index, distance := 16, 0
	for i, v := range p {
		best := 0
		for n, l := range levels {
			if abs(int(v)-l) < abs(int(v)-levels[best]) {
				best = n
			}
		}
		index += best * [3]int{36, 6, 1}[i]
		distance += abs(int(v) - levels[best])
	}
	mean := (int(p[0]) + int(p[1]) + int(p[2])) / 3
	grey := min(max((mean-3)/10, 0), 23)
	value := 8 + 10*grey
	if abs(int(p[0])-value)+abs(int(p[1])-value)+abs(int(p[2])-value) < distance {
		return 232 + grey
	}
	return index
}

func abs(v int) int { return max(v, -v) }

const (
	kittyID    = 1795
	kittyChunk = 4096 // largest number of bytes in one escape sequence of the protocol
)

// drawKitty draws all pixels, compressed, as an image whose number is always the same, so that it
// replaces the one before.
func drawKitty(to *bytes.Buffer, img *image.RGBA, cells image.Point) {
	var packed bytes.Buffer
	z, err := zlib.NewWriterLevel(&packed, zlib.BestSpeed)
	if err != nil {
		panic(err) // the level is valid
	}
	row := make([]byte, 3*img.Rect.Dx())
	for y := range img.Rect.Dy() {
		from := img.Pix[img.PixOffset(img.Rect.Min.X, img.Rect.Min.Y+y):]
		for x := range img.Rect.Dx() {
			copy(row[3*x:], from[4*x:4*x+3])
		}
		_, _ = z.Write(row) // to memory
	}
	_ = z.Close()
	text := base64.StdEncoding.EncodeToString(packed.Bytes())
	head := fmt.Sprintf("a=T,f=24,o=z,i=%d,p=1,q=2,C=1,s=%d,v=%d,c=%d,r=%d,", kittyID, img.Rect.Dx(), img.Rect.Dy(), cells.X, cells.Y)
	for {
		part, more := text, 0
		if len(text) > kittyChunk {
			part, more = text[:kittyChunk], 1
		}
		fmt.Fprintf(to, "\x1b_G%sm=%d;%s\x1b\\", head, more, part)
		if text, head = text[len(part):], ""; more == 0 {
			return
		}
	}
}

// drawSixel draws in 240 colours, a cube of 6 by 8 by 5, with ordered dithering.
func drawSixel(to *bytes.Buffer, img *image.RGBA) {
	width, height := img.Rect.Dx(), img.Rect.Dy()
	fmt.Fprintf(to, "\x1bP0;1q\"1;1;%d;%d", width, height)
	for i := range 240 {
		fmt.Fprintf(to, "#%d;2;%d;%d;%d", i, i/40*100/5, i/5%8*100/7, i%5*100/4)
	}
	indices := make([]byte, width*6)
	bits := make([]byte, width)
	for top := 0; top < height; top += 6 {
		var used [240]bool
		rows := min(6, height-top)
		for y := range rows {
			for x := range width {
				i := img.PixOffset(img.Rect.Min.X+x, img.Rect.Min.Y+top+y)
				c := cubeColor(img.Pix[i], img.Pix[i+1], img.Pix[i+2], dither(x, top+y))
				indices[y*width+x], used[c] = c, true
			}
		}
		for c := range used {
			if !used[c] {
				continue
			}
			clear(bits)
			for i, index := range indices[:rows*width] {
				if int(index) == c {
					bits[i%width] |= 1 << (i / width)
				}
			}
			fmt.Fprintf(to, "#%d", c)
			writeRuns(to, bits)
			to.WriteByte('$')
		}
		to.WriteByte('-')
	}
	to.WriteString("\x1b\\")
}

// writeRuns appends a line of sixels with run-length encoding.
func writeRuns(to *bytes.Buffer, bits []byte) {
	for i := 0; i < len(bits); {
		n := 1
		for i+n < len(bits) && bits[i+n] == bits[i] {
			n++
		}
		if n > 3 {
			fmt.Fprintf(to, "!%d%c", n, bits[i]+63)
		} else {
			for range n {
				to.WriteByte(bits[i] + 63)
			}
		}
		i += n
	}
}

// dither returns the threshold of a pixel in the Bayer matrix of 4 by 4, from 0 to 15.
func dither(x, y int) int {
	return [16]int{0, 8, 2, 10, 12, 4, 14, 6, 3, 11, 1, 9, 15, 7, 13, 5}[y&3<<2|x&3]
}

// cubeColor returns the number of a colour in the cube, with a threshold for dithering.
func cubeColor(r, g, b byte, threshold int) byte {
	level := func(v byte, levels int) int { return (int(v)*(levels-1)*16 + threshold*255 + 127) / (255 * 16) }
	return byte(min(level(r, 6), 5)*40 + min(level(g, 8), 7)*5 + min(level(b, 5), 4))
}
