package device

// pyramid is a picture in several sizes, each half as wide and high as the one before. Those that nobody asks for are
// not made.
type pyramid struct {
	full    *picture
	smaller []picture
	made    int // of smaller, of this picture
}

// use begins with another picture, which must stay until the next.
func (y *pyramid) use(p *picture) { y.full, y.made = p, 0 }

// halved is the picture with both sides halved so many times, valid until use. It stays large enough for an encoder.
func (y *pyramid) halved(times int) *picture {
	p := y.full
	for i := range times {
		if p.Rect.Dx() < 4*leastSide || p.Rect.Dy() < 4*leastSide {
			break
		}
		if i == len(y.smaller) {
			y.smaller = append(y.smaller, picture{})
		}
		if i >= y.made {
			y.smaller[i].halve(p)
			y.made = i + 1
		}
		p = &y.smaller[i]
	}
	return p
}

// halve makes p half of src, with even sides.
func (p *picture) halve(src *picture) {
	p.shape(src.Rect.Dx()/2&^1, src.Rect.Dy()/2&^1)
	p.at = src.at
	w, h := p.Rect.Dx(), p.Rect.Dy()
	halvePlane(p.Y, p.YStride, src.Y, src.YStride, w, h)
	halvePlane(p.Cb, p.CStride, src.Cb, src.CStride, w/2, h/2)
	halvePlane(p.Cr, p.CStride, src.Cr, src.CStride, w/2, h/2)
}

// halvePlane makes each byte the mean of four.
func halvePlane(dst []byte, dstStride int, src []byte, srcStride, width, height int) {
	for y := range height {
		upper := src[2*y*srcStride:][:2*width]
		lower := src[(2*y+1)*srcStride:][:2*width]
		out := dst[y*dstStride:][:width]
		for x := range out {
			out[x] = byte((int(upper[2*x]) + int(upper[2*x+1]) + int(lower[2*x]) + int(lower[2*x+1]) + 2) / 4)
		}
	}
}
