package pixel

import "image"

// Rotator rotates frames. The zero value is ready for use by one goroutine.
type Rotator struct {
	to   image.YCbCr
	full image.YCbCr // frame with all chroma samples
}

// Rotate returns src rotated clockwise by degrees, a multiple of 90, which may be negative. The
// result is src itself for a whole turn; otherwise it is valid until the next call.
func (r *Rotator) Rotate(src *image.YCbCr, degrees int) *image.YCbCr {
	turns := (degrees/90%4 + 4) % 4
	if turns == 0 {
		return src
	}
	if src.SubsampleRatio == image.YCbCrSubsampleRatio411 || src.SubsampleRatio == image.YCbCrSubsampleRatio410 {
		src = r.upsample(src) // package image has no name for the rotated ratio
	}
	width, height, ratio := src.Rect.Dx(), src.Rect.Dy(), src.SubsampleRatio
	if turns != 2 {
		width, height = height, width
		switch ratio {
		case image.YCbCrSubsampleRatio422:
			ratio = image.YCbCrSubsampleRatio440
		case image.YCbCrSubsampleRatio440:
			ratio = image.YCbCrSubsampleRatio422
		}
	}
	reshape(&r.to, width, height, ratio)
	rotatePlane(r.to.Y, r.to.YStride, src.Y[src.YOffset(src.Rect.Min.X, src.Rect.Min.Y):], src.YStride,
		src.Rect.Dx(), src.Rect.Dy(), turns)
	cw, ch := chromaSize(src)
	offset := src.COffset(src.Rect.Min.X, src.Rect.Min.Y)
	rotatePlane(r.to.Cb, r.to.CStride, src.Cb[offset:], src.CStride, cw, ch, turns)
	rotatePlane(r.to.Cr, r.to.CStride, src.Cr[offset:], src.CStride, cw, ch, turns)
	return &r.to
}

// reshape makes p a frame of that format, and keeps its memory if it is one already.
func reshape(p *image.YCbCr, width, height int, ratio image.YCbCrSubsampleRatio) {
	if p.Rect.Dx() != width || p.Rect.Dy() != height || p.SubsampleRatio != ratio {
		*p = *image.NewYCbCr(image.Rect(0, 0, width, height), ratio)
	}
}

// upsample returns src in 4:4:4.
func (r *Rotator) upsample(src *image.YCbCr) *image.YCbCr {
	width, height := src.Rect.Dx(), src.Rect.Dy()
	reshape(&r.full, width, height, image.YCbCrSubsampleRatio444)
	for y := range height {
		copy(r.full.Y[y*r.full.YStride:][:width], src.Y[src.YOffset(src.Rect.Min.X, src.Rect.Min.Y+y):])
		for x := range width {
			from := src.COffset(src.Rect.Min.X+x, src.Rect.Min.Y+y)
			r.full.Cb[y*r.full.CStride+x], r.full.Cr[y*r.full.CStride+x] = src.Cb[from], src.Cr[from]
		}
	}
	return &r.full
}

// rotatePlane rotates a plane of width by height samples clockwise by 1 to 3 quarter turns.
func rotatePlane(dst []byte, dstStride int, src []byte, srcStride, width, height, turns int) {
	for y := range height {
		row := src[y*srcStride:][:width]
		switch turns {
		case 1: // the top row becomes the right column
			for x, v := range row {
				dst[x*dstStride+height-1-y] = v
			}
		case 2:
			out := dst[(height-1-y)*dstStride:][:width]
			for x, v := range row {
				out[width-1-x] = v
			}
		case 3: // the top row becomes the left column
			for x, v := range row {
				dst[(width-1-x)*dstStride+y] = v
			}
		}
	}
}
