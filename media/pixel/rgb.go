package pixel

import (
	"image"
	"image/draw"
)

// RGBConverter converts decoded frames to RGB. The zero value is ready for use by one goroutine.
type RGBConverter struct{ scaler Scaler }

// Convert returns a copy of img in RGB. A frame in YCbCr is scaled to width by height pixels; width
// or height 0 keeps its size.
//
// The colours of a frame in YCbCr are taken as BT.601 in limited range (Y from 16 to 235), as
// decoders of video return them, where package image assumes full range.
func (c *RGBConverter) Convert(img image.Image, width, height int) *image.RGBA {
	p, ok := img.(*image.YCbCr)
	if !ok {
		to := image.NewRGBA(image.Rect(0, 0, img.Bounds().Dx(), img.Bounds().Dy()))
		draw.Draw(to, to.Rect, img, img.Bounds().Min, draw.Src)
		return to
	}
	if width == 0 || height == 0 {
		width, height = p.Rect.Dx(), p.Rect.Dy()
	}
	p = c.scaler.Scale(p, width, height)
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

// clip8 rounds a number with 16 fractional bits to a byte.
func clip8(v int) byte { return byte(min(max((v+1<<15)>>16, 0), 255)) }
