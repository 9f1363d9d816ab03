package source

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"math"
	"strconv"
	"time"

	"parley/media"

	"golang.org/x/image/font/basicfont"
)

// A Card draws the test picture: colour bars, a ball that moves smoothly from side to side once in four seconds, the time
// of day, the frame number, and the strip. It draws into one image over and over.
type Card struct {
	img        *image.RGBA
	background []byte // img.Pix before anything that moves
	scale      int    // of the letters
	text       []byte
}

// White, yellow, cyan, green, magenta, red and blue at 75 %, as on the usual test card.
func barColours() [7]color.RGBA {
	return [7]color.RGBA{
		{191, 191, 191, 255}, {191, 191, 0, 255}, {0, 191, 191, 255}, {0, 191, 0, 255},
		{191, 0, 191, 255}, {191, 0, 0, 255}, {0, 0, 191, 255},
	}
}

// NewCard makes a card of 64 by 48 to 1920 by 1080. The error is a *media.SpecError.
func NewCard(width, height int) (*Card, error) {
	if width < 64 || width > 1920 || height < 48 || height > 1080 {
		return nil, &media.SpecError{
			Spec:   fmt.Sprintf("video size %dx%d", width, height),
			Reason: "the test picture may be 64x48 to 1920x1080",
		}
	}
	return newCard(width, height), nil
}

func newCard(width, height int) *Card {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	bars := barColours()
	for i, c := range bars {
		fill(img, image.Rect(width*i/len(bars), 0, width*(i+1)/len(bars), height), c)
	}
	// Twelve letters across, and two lines of letters in two thirds of the height.
	face := basicfont.Face7x13
	scale := max(1, min(width/(12*face.Advance+2), height*2/3/(2*face.Height)))
	return &Card{img: img, background: append([]byte(nil), img.Pix...), scale: scale}
}

// Paint draws a frame, elapsed after the first, at a time of day; the image is valid until the next call.
func (c *Card) Paint(frame uint32, elapsed time.Duration, now time.Time) *image.RGBA {
	copy(c.img.Pix, c.background)
	c.ball(elapsed)
	c.text = now.AppendFormat(c.text[:0], "15:04:05.000")
	c.line(c.text, 1)
	c.text = strconv.AppendUint(c.text[:0], uint64(frame), 10)
	c.line(c.text, 2)
	c.strip(frame)
	return c.img
}

func (c *Card) ball(elapsed time.Duration) {
	w, h := c.img.Rect.Dx(), c.img.Rect.Dy()
	radius := max(2, h/24)
	phase := math.Mod(elapsed.Seconds(), 4) / 4
	x := radius + int(float64(w-2*radius)*(1-math.Cos(2*math.Pi*phase))/2)
	y := h/stripShare - 1
	for dy := -radius; dy <= radius; dy++ {
		half := int(math.Sqrt(float64(radius*radius - dy*dy)))
		fill(c.img, image.Rect(x-half, y+dy, x+half+1, y+dy+1), color.RGBA{255, 255, 255, 255})
	}
}

// line writes text in the middle of a black box; lines are counted from the top, one letter above the middle.
func (c *Card) line(text []byte, line int) {
	face := basicfont.Face7x13
	width, height := len(text)*face.Advance*c.scale, face.Height*c.scale
	left := (c.img.Rect.Dx() - width) / 2
	top := c.lineTop(line)
	fill(c.img, image.Rect(left-c.scale, top, left+width, top+height), color.RGBA{0, 0, 0, 255})
	for i, letter := range text {
		c.letter(rune(letter), left+i*face.Advance*c.scale, top)
	}
}

func (c *Card) lineTop(line int) int {
	return c.img.Rect.Dy()/2 + (line-2)*basicfont.Face7x13.Height*c.scale
}

func (c *Card) letter(letter rune, left, top int) {
	face := basicfont.Face7x13
	mask := face.Mask.(*image.Alpha)
	glyph := int(letter-' ') * (face.Ascent + face.Descent) // the mask of basicfont is one column of ASCII
	for y := range face.Ascent + face.Descent {
		for x := range face.Width {
			if mask.AlphaAt(x, glyph+y).A == 0 {
				continue
			}
			px, py := left+x*c.scale, top+y*c.scale
			fill(c.img, image.Rect(px, py, px+c.scale, py+c.scale), color.RGBA{255, 255, 255, 255})
		}
	}
}

func (c *Card) strip(frame uint32) {
	word := stripWord(frame) << (64 - stripRows*stripDataBits)
	for row := range stripRows {
		for cell := range stripCells {
			white := cell == 0
			if cell > 0 && cell <= stripDataBits {
				white = word>>63 != 0
				word <<= 1
			}
			shade := color.RGBA{0, 0, 0, 255}
			if white {
				shade = color.RGBA{255, 255, 255, 255}
			}
			fill(c.img, stripCell(c.img.Rect, row, cell), shade)
		}
	}
}

func fill(img *image.RGBA, r image.Rectangle, c color.RGBA) {
	draw.Draw(img, r, image.NewUniform(c), image.Point{}, draw.Src)
}
