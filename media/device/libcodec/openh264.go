//go:build linux && cgo && !dynamic

package libcodec

/*
#cgo LDFLAGS: -Wl,-undefined=WelsCreateDecoder -Wl,-undefined=WelsDestroyDecoder
#include <stdbool.h>
#include <string.h>

// From codec_api.h, codec_def.h and codec_app_def.h of OpenH264 2.1.1, which mediadevices contains
// with its decoder.
typedef struct {
	char *file;
	unsigned cpu;
	unsigned char layer;
	int conceal;
	bool parse;
	struct { unsigned size; int type; } property;
} parameters;

typedef struct {
	int ready;
	unsigned long long in, out;
	struct { int width, height, format, stride[2]; } system;
	unsigned char *planes[3];
} buffer;

typedef struct vtable {
	long (*initialize)(void *, const parameters *);
	long (*uninitialize)(void *);
	void *decodeFrame;
	int (*decodeNoDelay)(void *, const unsigned char *, int, unsigned char **, buffer *);
	void *decode2, *flush, *parse, *decodeEx;
	long (*setOption)(void *, int, void *);
	void *getOption;
} vtable;

enum { DECODER_TRACE_LEVEL = 10, QUIET = 0, AVC = 0 };

// Weak: cgo links this package alone first, without them.
extern long WelsCreateDecoder(void **) __attribute__((weak));
extern void WelsDestroyDecoder(void *) __attribute__((weak));

static void *decoder_new(void) {
	void *d = NULL;
	if (!WelsCreateDecoder || WelsCreateDecoder(&d)) return NULL;
	int level = QUIET;
	const vtable *v = *(const vtable **)d;
	v->setOption(d, DECODER_TRACE_LEVEL, &level);
	parameters p;
	memset(&p, 0, sizeof p);
	p.layer = 255;
	p.property.size = sizeof p.property;
	p.property.type = AVC;
	if (v->initialize(d, &p)) { WelsDestroyDecoder(d); return NULL; }
	return d;
}

static int decoder_decode(void *d, const unsigned char *data, int size, buffer *b) {
	unsigned char *planes[3] = {0};
	memset(b, 0, sizeof *b);
	int state = (*(const vtable **)d)->decodeNoDelay(d, data, size, planes, b);
	memcpy(b->planes, planes, sizeof planes);
	return state;
}

static void decoder_free(void *d) {
	(*(const vtable **)d)->uninitialize(d);
	WelsDestroyDecoder(d);
}
*/
import "C"

/*
#cgo LDFLAGS: -Wl,--wrap=WelsCreateSVCEncoder

// OpenH264 writes a trace to stderr by default, which mediadevices does not turn off. The linker
// wraps the function that creates an encoder with this one. The constants are from codec_app_def.h
// of OpenH264 2.1.1.
enum { SET_OPTION = 7, ENCODER_TRACE_LEVEL = 25 };

typedef int (*set_option)(void *encoder, int option, void *value);

// Weak: cgo links this package alone first, without it.
extern int __real_WelsCreateSVCEncoder(void **encoder) __attribute__((weak));

int __wrap_WelsCreateSVCEncoder(void **encoder) {
	int result = __real_WelsCreateSVCEncoder(encoder);
	if (result == 0) {
		int level = QUIET;
		(*(set_option **)*encoder)[SET_OPTION](*encoder, ENCODER_TRACE_LEVEL, &level);
	}
	return result;
}
*/
import "C"

import (
	"errors"
	"fmt"
	"image"
	"unsafe"

	"parley/media/decoder"
)

// h264Decoder decodes with OpenH264.
type h264Decoder struct {
	c     unsafe.Pointer
	frame image.YCbCr
}

func newH264Decoder() (decoder.Decoder, error) {
	c := C.decoder_new()
	if c == nil {
		return nil, errors.New("OpenH264 cannot create a decoder")
	}
	return &h264Decoder{c: c}, nil
}

// Decode implements decoder.Decoder.
func (d *h264Decoder) Decode(frame []byte) (image.Image, error) {
	if len(frame) == 0 {
		return nil, nil
	}
	var b C.buffer
	if state := C.decoder_decode(d.c, (*C.uchar)(&frame[0]), C.int(len(frame)), &b); state != 0 {
		return nil, fmt.Errorf("OpenH264 cannot decode it (state 0x%x)", int(state))
	}
	width, height := int(b.system.width), int(b.system.height)
	if b.ready != 1 || b.planes[0] == nil {
		return nil, nil
	}
	return copyPlanes(&d.frame, width, height, [3]unsafe.Pointer{
		unsafe.Pointer(b.planes[0]), unsafe.Pointer(b.planes[1]), unsafe.Pointer(b.planes[2])},
		[3]int{int(b.system.stride[0]), int(b.system.stride[1]), int(b.system.stride[1])})
}

// KeyFramesOnly implements decoder.Decoder.
func (d *h264Decoder) KeyFramesOnly() bool { return false }

// Close implements decoder.Decoder.
func (d *h264Decoder) Close() {
	if d.c != nil {
		C.decoder_free(d.c)
		d.c = nil
	}
}
