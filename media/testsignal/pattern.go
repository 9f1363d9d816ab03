package testsignal

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

// Defaults of the test video, in pixels and frames/s.
const (
	DefaultWidth     = 320
	DefaultHeight    = 240
	DefaultFrameRate = 15
)

// A Pattern renders the test video: colour bars, a ball that moves from side to side once in four
// seconds, the time of day, the frame number, and the frame ID. It reuses one image.
type Pattern struct {
	img        *image.RGBA
	background []byte // img.Pix with the bars only
	scale      int    // image pixels per font pixel
	text       []byte
}

// barColours are white, yellow, cyan, green, magenta, red and blue at 75 %, as in SMPTE colour
// bars.
func barColours() [7]color.RGBA {
	return [7]color.RGBA{
		{191, 191, 191, 255}, {191, 191, 0, 255}, {0, 191, 191, 255}, {0, 191, 0, 255},
		{191, 0, 191, 255}, {191, 0, 0, 255}, {0, 0, 191, 255},
	}
}

// NewPattern returns a Pattern of 64x48 to 1920x1080 pixels. The error is a *media.SpecError.
func NewPattern(width, height int) (*Pattern, error) {
	if width < 64 || width > 1920 || height < 48 || height > 1080 {
		return nil, &media.SpecError{
			Spec:   fmt.Sprintf("video size %dx%d", width, height),
			Reason: "want 64x48 to 1920x1080 for the test video",
		}
	}
	return newPattern(width, height), nil
}

func newPattern(width, height int) *Pattern {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	bars := barColours()
	for i, c := range bars {
		fill(img, image.Rect(width*i/len(bars), 0, width*(i+1)/len(bars), height), c)
	}
	// The text is 12 letters wide; its two lines fill two thirds of the height at most.
	face := basicfont.Face7x13
	scale := max(1, min(width/(12*face.Advance+2), height*2/3/(2*face.Height)))
	return &Pattern{img: img, background: append([]byte(nil), img.Pix...), scale: scale}
}

// Render draws a frame that is elapsed after frame 0, with the time of day now. The image is valid
// until the next call.
func (p *Pattern) Render(frame uint32, elapsed time.Duration, now time.Time) *image.RGBA {
	copy(p.img.Pix, p.background)
	p.drawBall(elapsed)
	p.text = now.AppendFormat(p.text[:0], "15:04:05.000")
	p.drawText(p.text, 1)
	p.text = strconv.AppendUint(p.text[:0], uint64(frame), 10)
	p.drawText(p.text, 2)
	p.drawFrameID(frame)
	return p.img
}

// Bounds returns the bounds of the image.
func (p *Pattern) Bounds() image.Rectangle { return p.img.Rect }

// ClockRows returns the rows [top, bottom) that show the time of day, which a receiver does not
// know.
func (p *Pattern) ClockRows() (top, bottom int) { return p.lineTop(1), p.lineTop(2) }

func (p *Pattern) drawBall(elapsed time.Duration) {
	w, h := p.img.Rect.Dx(), p.img.Rect.Dy()
	radius := max(2, h/24)
	phase := math.Mod(elapsed.Seconds(), 4) / 4
	x := radius + int(float64(w-2*radius)*(1-math.Cos(2*math.Pi*phase))/2)
	y := h/frameIDShare - 1
	for dy := -radius; dy <= radius; dy++ {
		half := int(math.Sqrt(float64(radius*radius - dy*dy)))
		fill(p.img, image.Rect(x-half, y+dy, x+half+1, y+dy+1), color.RGBA{255, 255, 255, 255})
	}
}

// drawText draws text on a black box in the middle of a line. Line 2 begins at the centre of the
// image, line 1 ends there.
func (p *Pattern) drawText(text []byte, line int) {
	face := basicfont.Face7x13
	width, height := len(text)*face.Advance*p.scale, face.Height*p.scale
	left := (p.img.Rect.Dx() - width) / 2
	top := p.lineTop(line)
	fill(p.img, image.Rect(left-p.scale, top, left+width, top+height), color.RGBA{0, 0, 0, 255})
	for i, letter := range text {
		p.drawLetter(rune(letter), left+i*face.Advance*p.scale, top)
	}
}

func (p *Pattern) lineTop(line int) int {
	return p.img.Rect.Dy()/2 + (line-2)*basicfont.Face7x13.Height*p.scale
}

func (p *Pattern) drawLetter(letter rune, left, top int) {
	face := basicfont.Face7x13
	mask := face.Mask.(*image.Alpha)
	glyph := int(letter-' ') * (face.Ascent + face.Descent) // the mask of basicfont is one column of glyphs, from the space on
	for y := range face.Ascent + face.Descent {
		for x := range face.Width {
			if mask.AlphaAt(x, glyph+y).A == 0 {
				continue
			}
			px, py := left+x*p.scale, top+y*p.scale
			fill(p.img, image.Rect(px, py, px+p.scale, py+p.scale), color.RGBA{255, 255, 255, 255})
		}
	}
}

func (p *Pattern) drawFrameID(frame uint32) {
	word := frameIDWord(frame) << (64 - frameIDRows*frameIDBits)
	for row := range frameIDRows {
		for cell := range frameIDCells {
			white := cell == 0
			if cell > 0 && cell <= frameIDBits {
				white = word>>63 != 0
				word <<= 1
			}
			shade := color.RGBA{0, 0, 0, 255}
			if white {
				shade = color.RGBA{255, 255, 255, 255}
			}
			fill(p.img, frameIDCell(p.img.Rect, row, cell), shade)
		}
	}
}

func fill(img *image.RGBA, r image.Rectangle, c color.RGBA) {
	draw.Draw(img, r, image.NewUniform(c), image.Point{}, draw.Src)
}
