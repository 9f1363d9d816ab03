package pixel

import "image"

// Scaler scales frames to 4:2:0. Each pixel is the mean of those that it covers when the frame gets
// smaller, and is interpolated between its neighbours when it gets larger. The zero value is ready
// for use by one goroutine.
type Scaler struct {
	to    image.YCbCr
	lines map[lineSize][]filterTaps
}

// lineSize is the number of pixels of a line before and after scaling.
type lineSize struct{ from, to int }

// filterTaps are the pixels of a line that one scaled pixel is made of: from first on, with weights
// whose sum is 1<<16.
type filterTaps struct {
	first   int
	weights []uint32
}

// maxLines is the number of line sizes whose filter taps are kept: a frame needs up to four.
const maxLines = 16

// Scale returns src as a 4:2:0 frame of width by height pixels, which are at least 1. The result is
// src itself if it has that format already; otherwise it is valid until the next call.
func (s *Scaler) Scale(src *image.YCbCr, width, height int) *image.YCbCr {
	w, h := src.Rect.Dx(), src.Rect.Dy()
	if w == width && h == height && src.SubsampleRatio == image.YCbCrSubsampleRatio420 {
		return src
	}
	if s.to.Rect.Dx() != width || s.to.Rect.Dy() != height {
		s.to = *image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
	}
	s.scalePlane(s.to.Y, s.to.YStride, width, height, src.Y[src.YOffset(src.Rect.Min.X, src.Rect.Min.Y):], src.YStride, w, h)
	cw, ch := chromaSize(src)
	offset := src.COffset(src.Rect.Min.X, src.Rect.Min.Y)
	width, height = (width+1)/2, (height+1)/2
	s.scalePlane(s.to.Cb, s.to.CStride, width, height, src.Cb[offset:], src.CStride, cw, ch)
	s.scalePlane(s.to.Cr, s.to.CStride, width, height, src.Cr[offset:], src.CStride, cw, ch)
	return &s.to
}

// chromaSize returns the width and height of the chroma planes.
func chromaSize(p *image.YCbCr) (width, height int) {
	width, height = p.Rect.Dx(), p.Rect.Dy()
	switch p.SubsampleRatio {
	case image.YCbCrSubsampleRatio420:
		return (width + 1) / 2, (height + 1) / 2
	case image.YCbCrSubsampleRatio422:
		return (width + 1) / 2, height
	case image.YCbCrSubsampleRatio440:
		return width, (height + 1) / 2
	case image.YCbCrSubsampleRatio411:
		return (width + 3) / 4, height
	case image.YCbCrSubsampleRatio410:
		return (width + 3) / 4, (height + 1) / 2
	}
	return width, height
}

func (s *Scaler) scalePlane(dst []byte, dstStride, dw, dh int, src []byte, srcStride, sw, sh int) {
	columns, rows := s.taps(sw, dw), s.taps(sh, dh)
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

// taps returns the filter taps that scale a line of from pixels to one of to pixels.
func (s *Scaler) taps(from, to int) []filterTaps {
	size := lineSize{from, to}
	if known := s.lines[size]; known != nil {
		return known
	}
	all := make([]filterTaps, to)
	ratio := float64(from) / float64(to)
	for i := range all {
		// When a frame gets larger, a pixel covers one pixel of the source, centred between two.
		width := max(ratio, 1)
		center := (float64(i) + 0.5) * ratio
		low, high := center-width/2, center+width/2
		first, last := max(0, int(low)), min(from-1, int(high))
		if low < 0 {
			first = 0
		}
		taps := filterTaps{first: first}
		left, total := uint32(1<<16), high-low
		for n := first; n <= last; n++ {
			part := min(high, float64(n+1)) - max(low, float64(n))
			if n == first && low < 0 {
				part -= low // the first pixel extends beyond the edge
			}
			weight := min(uint32(max(0, part)/total*(1<<16)+0.5), left)
			if n == last {
				weight = left
			}
			left -= weight
			taps.weights = append(taps.weights, weight)
		}
		all[i] = taps
	}
	if s.lines == nil || len(s.lines) >= maxLines {
		s.lines = make(map[lineSize][]filterTaps)
	}
	s.lines[size] = all
	return all
}
