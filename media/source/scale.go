package source

import "image"

// scaler makes pictures of one size, 4:2:0, of pictures of any. Each pixel is the mean of those that it covers when the
// picture gets smaller, and lies between its neighbours when it gets larger.
type scaler struct {
	to            image.YCbCr
	width, height int
	maps          map[[2]int][]span
}

// span is where one pixel of a line comes from: whole pixels from first on, with weights that add up to 1<<16.
type span struct {
	first   int
	weights []uint32
}

func newScaler(width, height int) *scaler {
	return &scaler{
		to:    *image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420),
		width: width, height: height, maps: make(map[[2]int][]span),
	}
}

// scale returns src in the size of the scaler, valid until the next call; src itself if it has it already.
func (s *scaler) scale(src *image.YCbCr) *image.YCbCr {
	w, h := src.Rect.Dx(), src.Rect.Dy()
	if w == s.width && h == s.height && src.SubsampleRatio == image.YCbCrSubsampleRatio420 {
		return src
	}
	s.plane(s.to.Y, s.to.YStride, s.width, s.height, src.Y[src.YOffset(src.Rect.Min.X, src.Rect.Min.Y):], src.YStride, w, h)
	cw, ch := chromaSize(src)
	at := src.COffset(src.Rect.Min.X, src.Rect.Min.Y)
	width, height := (s.width+1)/2, (s.height+1)/2
	s.plane(s.to.Cb, s.to.CStride, width, height, src.Cb[at:], src.CStride, cw, ch)
	s.plane(s.to.Cr, s.to.CStride, width, height, src.Cr[at:], src.CStride, cw, ch)
	return &s.to
}

func chromaSize(p *image.YCbCr) (w, h int) {
	w, h = p.Rect.Dx(), p.Rect.Dy()
	switch p.SubsampleRatio {
	case image.YCbCrSubsampleRatio420:
		return (w + 1) / 2, (h + 1) / 2
	case image.YCbCrSubsampleRatio422:
		return (w + 1) / 2, h
	case image.YCbCrSubsampleRatio440:
		return w, (h + 1) / 2
	}
	return w, h
}

func (s *scaler) plane(dst []byte, dstStride, dw, dh int, src []byte, srcStride, sw, sh int) {
	columns, rows := s.spans(sw, dw), s.spans(sh, dh)
	line := make([]uint32, sw)
	for y, row := range rows {
		clear(line)
		for i, weight := range row.weights {
			from := src[(row.first+i)*srcStride:]
			for x := range line {
				line[x] += uint32(from[x]) * weight
			}
		}
		out := dst[y*dstStride : y*dstStride+dw]
		for x, column := range columns {
			sum := uint64(0)
			for i, weight := range column.weights {
				sum += uint64(line[column.first+i]) * uint64(weight)
			}
			out[x] = byte((sum + 1<<31) >> 32)
		}
	}
}

// spans are the places in a line of from pixels for each of to pixels.
func (s *scaler) spans(from, to int) []span {
	key := [2]int{from, to}
	if made := s.maps[key]; made != nil {
		return made
	}
	all := make([]span, to)
	ratio := float64(from) / float64(to)
	for i := range all {
		// A pixel covers as much of the source as it stands for, but at least one, as wide as the distance to the
		// neighbour on which it leans.
		width := max(ratio, 1)
		center := (float64(i) + 0.5) * ratio
		low, high := center-width/2, center+width/2
		first, last := max(0, int(low)), min(from-1, int(high))
		if low < 0 {
			first = 0
		}
		sp := span{first: first}
		left, total := uint32(1<<16), high-low
		for n := first; n <= last; n++ {
			part := min(high, float64(n+1)) - max(low, float64(n))
			if n == first && low < 0 {
				part -= low // the edge stands for what is beyond it
			}
			weight := min(uint32(max(0, part)/total*(1<<16)+0.5), left)
			if n == last {
				weight = left
			}
			left -= weight
			sp.weights = append(sp.weights, weight)
		}
		all[i] = sp
	}
	s.maps[key] = all
	return all
}
