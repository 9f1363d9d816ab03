package device

import (
	"context"
	"image"
	"time"
)

// minSide of a picture is one macroblock.
const minSide = 16

// picture is one picture of a device, 4:2:0, with even sides.
type rawFrame struct {
	image.YCbCr
	at time.Time // of its capture
}

// latest hands pictures from the one who takes them to the one who encodes them. It holds one: an encoder that is slow
// gets the newest, not a queue of old ones.
type frameSlot struct {
	free  chan *rawFrame
	ready chan *rawFrame
}

// newFrameSlot makes room for three pictures: one being taken, one waiting, one being encoded.
func newFrameSlot() *frameSlot {
	l := &frameSlot{free: make(chan *rawFrame, 3), ready: make(chan *rawFrame, 1)}
	for range cap(l.free) {
		l.free <- new(rawFrame)
	}
	return l
}

// blank is a picture to draw into. It never blocks for the single taker.
func (l *frameSlot) blank() *rawFrame { return <-l.free }

// put makes p the newest.
func (l *frameSlot) put(p *rawFrame) {
	select {
	case old := <-l.ready:
		l.free <- old
	default:
	}
	l.ready <- p
}

// next waits for a picture newer than the one before. It is to be given back with done. It is nil when ctx ends.
func (l *frameSlot) next(ctx context.Context) *rawFrame {
	select {
	case p := <-l.ready:
		return p
	case <-ctx.Done():
		return nil
	}
}

// done gives a picture back.
func (l *frameSlot) done(p *rawFrame) { l.free <- p }

// shape gives the picture room for width by height.
func (p *rawFrame) shape(width, height int) {
	if p.Rect.Dx() == width && p.Rect.Dy() == height {
		return
	}
	p.YCbCr = *image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
}

// copyFrom copies src, which is 4:2:0, without a last odd row and column: the encoders want even sides.
func (p *rawFrame) copyFrom(src *image.YCbCr) {
	p.shape(src.Rect.Dx()&^1, src.Rect.Dy()&^1)
	copyRows(p.Y, p.YStride, src.Y, src.YStride, p.Rect.Dx(), p.Rect.Dy())
	copyRows(p.Cb, p.CStride, src.Cb, src.CStride, p.Rect.Dx()/2, p.Rect.Dy()/2)
	copyRows(p.Cr, p.CStride, src.Cr, src.CStride, p.Rect.Dx()/2, p.Rect.Dy()/2)
}

func copyRows(dst []byte, dstStride int, src []byte, srcStride, width, height int) {
	for y := range height {
		copy(dst[y*dstStride:y*dstStride+width], src[y*srcStride:])
	}
}

// pyramid is a picture in several sizes, each half as wide and high as the one before. Those that nobody asks for are
// not made.
type downscaler struct {
	full    *rawFrame
	smaller []rawFrame
	made    int // of smaller, of this picture
}

// use begins with another picture, which must stay until the next.
func (y *downscaler) use(p *rawFrame) { y.full, y.made = p, 0 }

// halved is the picture with both sides halved so many times, valid until use. It stays large enough for an encoder.
func (y *downscaler) halved(times int) *rawFrame {
	p := y.full
	for i := range times {
		if p.Rect.Dx() < 4*minSide || p.Rect.Dy() < 4*minSide {
			break
		}
		if i == len(y.smaller) {
			y.smaller = append(y.smaller, rawFrame{})
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
func (p *rawFrame) halve(src *rawFrame) {
	p.shape(src.Rect.Dx()/2&^1, src.Rect.Dy()/2&^1)
	p.at = src.at
	w, h := p.Rect.Dx(), p.Rect.Dy()
	downscalePlane(p.Y, p.YStride, src.Y, src.YStride, w, h)
	downscalePlane(p.Cb, p.CStride, src.Cb, src.CStride, w/2, h/2)
	downscalePlane(p.Cr, p.CStride, src.Cr, src.CStride, w/2, h/2)
}

// downscalePlane makes each byte the mean of four.
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

// frameClock gives each picture its time of capture. What is known is when the program got it, which is later by how
// busy the machine was; a camera itself is regular. So the clock runs at the camera's pace and follows what it sees
// slowly, and jumps where that is far off: the camera has changed its pace, or left pictures out.
type frameClock struct {
	interval time.Duration // what is known of the pace, 0 if nothing is
	last     time.Time
}

// stamp is the time of a picture that came at arrival. Stamps always grow.
func (c *frameClock) stamp(arrival time.Time) time.Time {
	if c.last.IsZero() || c.interval <= 0 {
		c.last = later(arrival, c.last)
		return c.last
	}
	steps := max(1, arrival.Sub(c.last).Round(c.interval)/c.interval)
	due := c.last.Add(steps * c.interval)
	off := arrival.Sub(due)
	if off.Abs() > c.interval/3 {
		c.last = later(arrival, c.last)
		return c.last
	}
	c.interval += off / steps / 32
	c.last = later(due.Add(off/8), c.last)
	return c.last
}

func later(t, last time.Time) time.Time {
	if least := last.Add(time.Millisecond); !last.IsZero() && t.Before(least) {
		return least
	}
	return t
}

// convertBGRX converts pixels of four bytes, blue first, to the colours of video: BT.601, studio range, which is what
// decoders assume when a stream does not say. dst is 4:2:0 with even sides; a colour is the mean of four pixels.
func convertBGRX(dst *image.YCbCr, pixels []byte) {
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
