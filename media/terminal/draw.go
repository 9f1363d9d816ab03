package terminal

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"fmt"
	"image"
	"strconv"
)

// Draw appends the text that draws a picture at a row and column, counted from 1, and leaves the cursor anywhere. The
// picture has the size that Fit has said, and takes that many cells.
func (m Mode) Draw(to *bytes.Buffer, img *image.RGBA, row, column int, cells image.Point) {
	switch m {
	case Kitty:
		position(to, row, column)
		drawKitty(to, img, cells)
	case Sixel:
		position(to, row, column)
		drawSixel(to, img)
	default:
		drawBlocks(to, img, row, column, m == Blocks)
	}
}

// Clear appends what removes pictures that are not text, before rows are erased.
func (m Mode) Clear(to *bytes.Buffer) {
	if m == Kitty {
		fmt.Fprintf(to, "\x1b_Ga=d,d=I,i=%d,q=2\x1b\\", kittyID)
	}
}

func position(to *bytes.Buffer, row, column int) { fmt.Fprintf(to, "\x1b[%d;%dH", row, column) }

// drawBlocks draws two pixels in each cell: the upper one is the colour of ▀, the lower one that behind it.
func drawBlocks(to *bytes.Buffer, img *image.RGBA, row, column int, full bool) {
	type pixel [3]byte
	at := func(x, y int) pixel {
		i := img.PixOffset(img.Rect.Min.X+x, img.Rect.Min.Y+y)
		return pixel(img.Pix[i : i+3])
	}
	for y := 0; y+1 < img.Rect.Dy(); y += 2 {
		position(to, row+y/2, column)
		var above, below pixel
		for x := range img.Rect.Dx() {
			if p := at(x, y); x == 0 || p != above {
				colour(to, "38", p, full)
				above = p
			}
			if p := at(x, y+1); x == 0 || p != below {
				colour(to, "48", p, full)
				below = p
			}
			to.WriteString("▀")
		}
		to.WriteString("\x1b[0m")
	}
}

func colour(to *bytes.Buffer, which string, p [3]byte, full bool) {
	to.WriteString("\x1b[")
	to.WriteString(which)
	if !full {
		to.WriteString(";5;")
		to.WriteString(strconv.Itoa(xterm(p)))
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

// xterm is the nearest of xterm's colours: a cube of 6 by 6 by 6 from 16 on, and 24 greys from 232 on.
func xterm(p [3]byte) int {
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
	kittyChunk = 4096 // bytes in one escape sequence, by the protocol
)

// drawKitty sends all pixels, compressed, as the image of always the same number, which replaces the one before.
func drawKitty(to *bytes.Buffer, img *image.RGBA, cells image.Point) {
	var packed bytes.Buffer
	z, err := zlib.NewWriterLevel(&packed, zlib.BestSpeed)
	if err != nil {
		panic(err) // the level is a valid one
	}
	row := make([]byte, 3*img.Rect.Dx())
	for y := range img.Rect.Dy() {
		from := img.Pix[img.PixOffset(img.Rect.Min.X, img.Rect.Min.Y+y):]
		for x := range img.Rect.Dx() {
			copy(row[3*x:], from[4*x:4*x+3])
		}
		_, _ = z.Write(row) // into memory
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

// drawSixel draws in a cube of 6 by 8 by 5 colours, with the error of each pixel spread by a pattern.
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
				c := cube(img.Pix[i], img.Pix[i+1], img.Pix[i+2], dither(x, top+y))
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
			runs(to, bits)
			to.WriteByte('$')
		}
		to.WriteByte('-')
	}
	to.WriteString("\x1b\\")
}

// runs writes a line of sixels, what repeats as a number.
func runs(to *bytes.Buffer, bits []byte) {
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

// dither is a Bayer pattern of 4 by 4, from 0 to 15.
func dither(x, y int) int {
	return [16]int{0, 8, 2, 10, 12, 4, 14, 6, 3, 11, 1, 9, 15, 7, 13, 5}[y&3<<2|x&3]
}

func cube(r, g, b byte, d int) byte {
	level := func(v byte, levels int) int { return (int(v)*(levels-1)*16 + d*255 + 127) / (255 * 16) }
	return byte(min(level(r, 6), 5)*40 + min(level(g, 8), 7)*5 + min(level(b, 5), 4))
}
