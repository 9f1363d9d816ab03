//go:build linux && cgo

package device

import (
	"errors"
	"fmt"
	"image"
	"unsafe"

	"github.com/pion/webrtc/v4"

	"parley/media/decoder"
)

func newDecoder(mime string) (decoder.Decoder, error) {
	switch mime {
	case webrtc.MimeTypeH264:
		return newH264Decoder()
	case webrtc.MimeTypeVP8, webrtc.MimeTypeVP9:
		return newVPXDecoder(mime)
	}
	return nil, fmt.Errorf("this build does not decode %s", mime[len("video/"):])
}

// copyPlanes copies a picture, 4:2:0, out of the memory of a decoder.
func copyPlanes(to *image.YCbCr, width, height int, planes [3]unsafe.Pointer, strides [3]int) (image.Image, error) {
	if width < 1 || height < 1 || width > 1<<14 || height > 1<<14 {
		return nil, errors.New("the picture has no size")
	}
	if to.Rect.Dx() != width || to.Rect.Dy() != height {
		*to = *image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
	}
	cw, ch := (width+1)/2, (height+1)/2
	for i, plane := range []struct {
		data              []byte
		stride, w, height int
	}{{to.Y, to.YStride, width, height}, {to.Cb, to.CStride, cw, ch}, {to.Cr, to.CStride, cw, ch}} {
		src := unsafe.Slice((*byte)(planes[i]), strides[i]*(plane.height-1)+plane.w)
		copyRows(plane.data, plane.stride, src, strides[i], plane.w, plane.height)
	}
	return to, nil
}
