// Package rawframe holds captured frames for encoders.
package rawframe

import (
	"context"
	"image"
	"time"
)

// MinSide is the smallest width and height: one macroblock.
const MinSide = 16

// Frame is a captured frame in 4:2:0 with even width and height.
type Frame struct {
	image.YCbCr
	At time.Time // capture time
}

// Slot holds the newest captured frame for the encoder, so that a slow encoder skips frames.
// One goroutine captures and one encodes.
type Slot struct {
	free  chan *Frame
	ready chan *Frame
}

// NewSlot returns a slot with three frames: one that is captured, one that waits, one that is
// encoded.
func NewSlot() *Slot {
	l := &Slot{free: make(chan *Frame, 3), ready: make(chan *Frame, 1)}
	for range cap(l.free) {
		l.free <- new(Frame)
	}
	return l
}

// Acquire returns a frame to capture into. It does not block.
func (l *Slot) Acquire() *Frame { return <-l.free }

// Publish makes p the newest frame.
func (l *Slot) Publish(p *Frame) {
	select {
	case old := <-l.ready:
		l.free <- old
	default:
	}
	l.ready <- p
}

// Next waits for a frame newer than the one before. The caller calls Release. It returns nil when
// ctx ends.
func (l *Slot) Next(ctx context.Context) *Frame {
	select {
	case p := <-l.ready:
		return p
	case <-ctx.Done():
		return nil
	}
}

// Release returns a frame of next.
func (l *Slot) Release(p *Frame) { l.free <- p }

// Resize allocates the planes for another size.
func (p *Frame) Resize(width, height int) {
	if p.Rect.Dx() == width && p.Rect.Dy() == height {
		return
	}
	p.YCbCr = *image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
}

// CopyFrom copies src, which is 4:2:0, without the last odd row and column: encoders need even
// sizes.
func (p *Frame) CopyFrom(src *image.YCbCr) {
	p.Resize(src.Rect.Dx()&^1, src.Rect.Dy()&^1)
	copyRows(p.Y, p.YStride, src.Y, src.YStride, p.Rect.Dx(), p.Rect.Dy())
	copyRows(p.Cb, p.CStride, src.Cb, src.CStride, p.Rect.Dx()/2, p.Rect.Dy()/2)
	copyRows(p.Cr, p.CStride, src.Cr, src.CStride, p.Rect.Dx()/2, p.Rect.Dy()/2)
}

func copyRows(dst []byte, dstStride int, src []byte, srcStride, width, height int) {
	for y := range height {
		copy(dst[y*dstStride:y*dstStride+width], src[y*srcStride:])
	}
}

// Downscaler halves the width and height of a frame repeatedly, when a size is needed.
type Downscaler struct {
	full    *Frame
	smaller []Frame
	valid   int // number of smaller ones that are of this frame
}

// Reset takes another frame, which must not change until the next Reset.
func (d *Downscaler) Reset(p *Frame) { d.full, d.valid = p, 0 }

// Halved returns the frame with its sides halved so many times, as far as an encoder allows. The
// result is valid until Reset.
func (d *Downscaler) Halved(times int) *Frame {
	p := d.full
	for i := range times {
		if p.Rect.Dx() < 4*MinSide || p.Rect.Dy() < 4*MinSide {
			break
		}
		if i == len(d.smaller) {
			d.smaller = append(d.smaller, Frame{})
		}
		if i >= d.valid {
			d.smaller[i].halve(p)
			d.valid = i + 1
		}
		p = &d.smaller[i]
	}
	return p
}

// halve sets p to src with half of its width and height, rounded down to even.
func (p *Frame) halve(src *Frame) {
	p.Resize(src.Rect.Dx()/2&^1, src.Rect.Dy()/2&^1)
	p.At = src.At
	w, h := p.Rect.Dx(), p.Rect.Dy()
	downscalePlane(p.Y, p.YStride, src.Y, src.YStride, w, h)
	downscalePlane(p.Cb, p.CStride, src.Cb, src.CStride, w/2, h/2)
	downscalePlane(p.Cr, p.CStride, src.Cr, src.CStride, w/2, h/2)
}

// downscalePlane sets each sample to the mean of four.
func downscalePlane(dst []byte, dstStride int, src []byte, srcStride, width, height int) {
	for y := range height {
		upper := src[2*y*srcStride:][:2*width]
		lower := src[(2*y+1)*srcStride:][:2*width]
		out := dst[y*dstStride:][:width]
		for x := range out {
			out[x] = byte((int(upper[2*x]) + int(upper[2*x+1]) + int(lower[2*x]) + int(lower[2*x+1]) + 2) / 4)
		}
	}
}

// Clock estimates capture times from arrival times. Arrival jitters with the load of the
// machine, and a camera is regular: the estimate advances by the frame interval and follows arrival
// slowly. It jumps to arrival where that is far off, since the camera has changed its rate or
// skipped frames.
type Clock struct {
	Interval time.Duration // between frames, 0 if unknown
	last     time.Time
}

// Stamp returns the capture time of a frame by its arrival. The results increase.
func (c *Clock) Stamp(arrival time.Time) time.Time {
	if c.last.IsZero() || c.Interval <= 0 {
		c.last = later(arrival, c.last)
		return c.last
	}
	steps := max(1, arrival.Sub(c.last).Round(c.Interval)/c.Interval)
	due := c.last.Add(steps * c.Interval)
	off := arrival.Sub(due)
	if off.Abs() > c.Interval/3 {
		c.last = later(arrival, c.last)
		return c.last
	}
	c.Interval += off / steps / 32
	c.last = later(due.Add(off/8), c.last)
	return c.last
}

// later returns t, or a millisecond after last if that is later.
func later(t, last time.Time) time.Time {
	if earliest := last.Add(time.Millisecond); !last.IsZero() && t.Before(earliest) {
		return earliest
	}
	return t
}

// ConvertBGRX converts pixels of four bytes, blue first, to BT.601 in limited range, which decoders
// assume by default. dst is 4:2:0 with even sides. A chroma sample is the mean of four pixels.
func ConvertBGRX(dst *image.YCbCr, pixels []byte) {
	width, height := dst.Rect.Dx(), dst.Rect.Dy()
	for y := 0; y < height; y += 2 {
		top, bottom := pixels[y*width*4:], pixels[(y+1)*width*4:]
		for x := 0; x < width; x += 2 {
			var blue, green, red int
			for _, p := range [4][]byte{top[x*4:], top[x*4+4:], bottom[x*4:], bottom[x*4+4:]} {
				blue, green, red = blue+int(p[0]), green+int(p[1]), red+int(p[2])
			}
			i := y*dst.YStride + x
			dst.Y[i], dst.Y[i+1] = luma(top[x*4:]), luma(top[x*4+4:])
			dst.Y[i+dst.YStride], dst.Y[i+dst.YStride+1] = luma(bottom[x*4:]), luma(bottom[x*4+4:])
			c := y/2*dst.CStride + x/2
			dst.Cb[c] = uint8((112*blue - 74*green - 38*red + 128*4*256 + 512) >> 10)
			dst.Cr[c] = uint8((112*red - 94*green - 18*blue + 128*4*256 + 512) >> 10)
		}
	}
}

func luma(p []byte) uint8 {
	return uint8((25*int(p[0]) + 129*int(p[1]) + 66*int(p[2]) + 16*256 + 128) >> 8)
}
