package device

import (
	"context"
	"image"
	"time"
)

// leastSide of a picture is one macroblock.
const leastSide = 16

// picture is one picture of a device, 4:2:0, with even sides.
type picture struct {
	image.YCbCr
	at time.Time // of its capture
}

// latest hands pictures from the one who takes them to the one who encodes them. It holds one: an encoder that is slow
// gets the newest, not a queue of old ones.
type latest struct {
	free  chan *picture
	ready chan *picture
}

// newLatest makes room for three pictures: one being taken, one waiting, one being encoded.
func newLatest() *latest {
	l := &latest{free: make(chan *picture, 3), ready: make(chan *picture, 1)}
	for range cap(l.free) {
		l.free <- new(picture)
	}
	return l
}

// blank is a picture to draw into. It never blocks for the single taker.
func (l *latest) blank() *picture { return <-l.free }

// put makes p the newest.
func (l *latest) put(p *picture) {
	select {
	case old := <-l.ready:
		l.free <- old
	default:
	}
	l.ready <- p
}

// next waits for a picture newer than the one before. It is to be given back with done. It is nil when ctx ends.
func (l *latest) next(ctx context.Context) *picture {
	select {
	case p := <-l.ready:
		return p
	case <-ctx.Done():
		return nil
	}
}

// done gives a picture back.
func (l *latest) done(p *picture) { l.free <- p }

// shape gives the picture room for width by height.
func (p *picture) shape(width, height int) {
	if p.Rect.Dx() == width && p.Rect.Dy() == height {
		return
	}
	p.YCbCr = *image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
}

// copyFrom copies src, which is 4:2:0, without a last odd row and column: the encoders want even sides.
func (p *picture) copyFrom(src *image.YCbCr) {
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
