//go:build linux && cgo && vpx

package device

/*
#cgo pkg-config: vpx
#include <stdlib.h>
#include <vpx/vpx_decoder.h>
#include <vpx/vp8dx.h>

static vpx_codec_ctx_t *vpxdecoder_new(int vp9, int threads, const char **why) {
	vpx_codec_ctx_t *c = calloc(1, sizeof *c);
	if (!c) { *why = "out of memory"; return NULL; }
	vpx_codec_dec_cfg_t config = { .threads = threads };
	vpx_codec_err_t failed = vpx_codec_dec_init(c, vp9 ? vpx_codec_vp9_dx() : vpx_codec_vp8_dx(), &config, 0);
	if (failed) { *why = vpx_codec_err_to_string(failed); free(c); return NULL; }
	return c;
}

// vpxdecoder_last gives the latest picture, NULL if there is none.
static vpx_image_t *vpxdecoder_last(vpx_codec_ctx_t *c) {
	vpx_codec_iter_t at = NULL;
	vpx_image_t *image, *last = NULL;
	while ((image = vpx_codec_get_frame(c, &at))) last = image;
	return last;
}
*/
import "C"

import (
	"errors"
	"fmt"
	"image"
	"unsafe"

	"github.com/pion/webrtc/v4"

	"parley/media/decoder"
)

// vpxDecoder is libvpx's for VP8 and VP9.
type vpxDecoder struct {
	c       *C.vpx_codec_ctx_t
	picture image.YCbCr
}

func newVPXDecoder(mime string) (decoder.Decoder, error) {
	vp9 := C.int(0)
	if mime == webrtc.MimeTypeVP9 {
		vp9 = 1
	}
	var why *C.char
	c := C.vpxdecoder_new(vp9, 1, &why)
	if c == nil {
		return nil, errors.New("libvpx makes no decoder: " + C.GoString(why))
	}
	return &vpxDecoder{c: c}, nil
}

// Decode implements decoder.Decoder.
func (d *vpxDecoder) Decode(frame []byte) (image.Image, error) {
	if len(frame) == 0 {
		return nil, nil
	}
	if failed := C.vpx_codec_decode(d.c, (*C.uint8_t)(&frame[0]), C.uint(len(frame)), nil, 0); failed != 0 {
		return nil, fmt.Errorf("libvpx cannot decode it: %s", C.GoString(C.vpx_codec_err_to_string(failed)))
	}
	p := C.vpxdecoder_last(d.c)
	if p == nil {
		return nil, nil
	}
	if p.fmt != C.VPX_IMG_FMT_I420 && p.fmt != C.VPX_IMG_FMT_YV12 {
		return nil, errors.New("only pictures in 4:2:0 of 8 bits are decoded")
	}
	return copyPlanes(&d.picture, int(p.d_w), int(p.d_h), [3]unsafe.Pointer{
		unsafe.Pointer(p.planes[0]), unsafe.Pointer(p.planes[1]), unsafe.Pointer(p.planes[2])},
		[3]int{int(p.stride[0]), int(p.stride[1]), int(p.stride[2])})
}

// KeyFramesOnly implements decoder.Decoder.
func (d *vpxDecoder) KeyFramesOnly() bool { return false }

// Close implements decoder.Decoder.
func (d *vpxDecoder) Close() {
	if d.c != nil {
		C.vpx_codec_destroy(d.c)
		C.free(unsafe.Pointer(d.c))
		d.c = nil
	}
}
