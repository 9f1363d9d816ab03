package source

import (
	"image"
	"image/draw"
)

// A Darkroom makes pictures to look at of those of a Decoder, in one size.
type Darkroom struct{ scaler *scaler }

// Develop returns img with colours for a screen, scaled to a size, or in its own if that is 0. The result is of its own
// memory.
//
// Video has its brightness from 16 to 235 and its colours by BT.601, where package image, as JPEG does, takes the whole
// range.
func (d *Darkroom) Develop(img image.Image, width, height int) *image.RGBA {
	p, ok := img.(*image.YCbCr)
	if !ok {
		to := image.NewRGBA(image.Rect(0, 0, img.Bounds().Dx(), img.Bounds().Dy()))
		draw.Draw(to, to.Rect, img, img.Bounds().Min, draw.Src)
		return to
	}
	if width == 0 || height == 0 {
		width, height = p.Rect.Dx(), p.Rect.Dy()
	}
	if d.scaler == nil || d.scaler.width != width || d.scaler.height != height {
		d.scaler = newScaler(width, height)
	}
	p = d.scaler.scale(p)
	to := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		row := to.Pix[y*to.Stride:]
		for x := range width {
			luma := (int(p.Y[p.YOffset(x+p.Rect.Min.X, y+p.Rect.Min.Y)]) - 16) * 76309
			at := p.COffset(x+p.Rect.Min.X, y+p.Rect.Min.Y)
			cb, cr := int(p.Cb[at])-128, int(p.Cr[at])-128
			row[4*x] = clip8(luma + 104597*cr)
			row[4*x+1] = clip8(luma - 25675*cb - 53279*cr)
			row[4*x+2] = clip8(luma + 132201*cb)
			row[4*x+3] = 255
		}
	}
	return to
}

// clip8 rounds 16.16 to a byte.
func clip8(v int) byte { return byte(min(max((v+1<<15)>>16, 0), 255)) }
