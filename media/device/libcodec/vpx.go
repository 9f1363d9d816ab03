//go:build linux && cgo && vpx

package libcodec

/*
#cgo pkg-config: vpx
#include <stdlib.h>
#include <vpx/vpx_encoder.h>
#include <vpx/vp8cx.h>

typedef struct {
	vpx_codec_ctx_t codec;
	vpx_codec_enc_cfg_t config;
	vpx_image_t image;
} vpxencoder;

// The settings are those of libwebrtc for a camera (modules/video_coding/codecs/vp8 and vp9): the
// bitrate is kept within a second, frames are dropped rather than late, and there is no lookahead.
static vpxencoder *vpxencoder_new(int vp9, int width, int height, int kilobits, int key_distance, int threads, const char **why) {
	vpxencoder *e = calloc(1, sizeof *e);
	if (!e) { *why = "out of memory"; return NULL; }
	vpx_codec_iface_t *which = vp9 ? vpx_codec_vp9_cx() : vpx_codec_vp8_cx();
	vpx_codec_err_t failed = vpx_codec_enc_config_default(which, &e->config, 0);
	if (!failed) {
		e->config.g_w = width;
		e->config.g_h = height;
		e->config.g_timebase.num = 1;
		e->config.g_timebase.den = 1000000;
		e->config.g_threads = threads;
		e->config.g_lag_in_frames = 0;
		e->config.g_pass = VPX_RC_ONE_PASS;
		e->config.rc_end_usage = VPX_CBR;
		e->config.rc_target_bitrate = kilobits;
		e->config.rc_min_quantizer = 2;
		e->config.rc_max_quantizer = 56;
		e->config.rc_undershoot_pct = 50;
		e->config.rc_overshoot_pct = 50;
		e->config.rc_buf_sz = 1000;
		e->config.rc_buf_initial_sz = 500;
		e->config.rc_buf_optimal_sz = 600;
		e->config.rc_dropframe_thresh = 30;
		e->config.kf_mode = VPX_KF_AUTO;
		e->config.kf_max_dist = key_distance;
		failed = vpx_codec_enc_init(&e->codec, which, &e->config, 0);
	}
	if (failed) { *why = vpx_codec_err_to_string(failed); free(e); return NULL; }
	// The encoder works without controls that fail.
	vpx_codec_control(&e->codec, VP8E_SET_STATIC_THRESHOLD, 1);
	vpx_codec_control(&e->codec, VP8E_SET_MAX_INTRA_BITRATE_PCT, 300);
	if (vp9) {
		vpx_codec_control(&e->codec, VP8E_SET_CPUUSED, 8);
		vpx_codec_control(&e->codec, VP9E_SET_AQ_MODE, 3);
		vpx_codec_control(&e->codec, VP9E_SET_ROW_MT, 1);
		vpx_codec_control(&e->codec, VP9E_SET_TILE_COLUMNS, 2);
	} else {
		vpx_codec_control(&e->codec, VP8E_SET_CPUUSED, -8);
		vpx_codec_control(&e->codec, VP8E_SET_TOKEN_PARTITIONS, 0);
	}
	vpx_img_wrap(&e->image, VPX_IMG_FMT_I420, width, height, 1, (unsigned char *)e); // vpxencoder_put sets the planes
	return e;
}

static vpx_codec_err_t vpxencoder_put(vpxencoder *e, unsigned char *y, unsigned char *cb, unsigned char *cr,
		int stride, int chroma_stride, vpx_codec_pts_t at, unsigned long duration, int key) {
	e->image.planes[0] = y; e->image.planes[1] = cb; e->image.planes[2] = cr;
	e->image.stride[0] = stride; e->image.stride[1] = e->image.stride[2] = chroma_stride;
	vpx_codec_err_t failed = vpx_codec_encode(&e->codec, &e->image, at, duration, key ? VPX_EFLAG_FORCE_KF : 0, VPX_DL_REALTIME);
	e->image.planes[0] = e->image.planes[1] = e->image.planes[2] = NULL;
	return failed;
}

// vpxencoder_get returns the encoded frame, NULL if it was dropped.
static const void *vpxencoder_get(vpxencoder *e, size_t *size) {
	vpx_codec_iter_t at = NULL;
	const vpx_codec_cx_pkt_t *p;
	while ((p = vpx_codec_get_cx_data(&e->codec, &at)))
		if (p->kind == VPX_CODEC_CX_FRAME_PKT) { *size = p->data.frame.sz; return p->data.frame.buf; }
	return NULL;
}

static vpx_codec_err_t vpxencoder_rate(vpxencoder *e, int kilobits) {
	e->config.rc_target_bitrate = kilobits;
	return vpx_codec_enc_config_set(&e->codec, &e->config);
}

static void vpxencoder_free(vpxencoder *e) {
	vpx_codec_destroy(&e->codec);
	free(e);
}
*/
import "C"

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

// vpxdecoder_last returns the latest frame, NULL if there is none.
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
	"math"
	"runtime"
	"time"
	"unsafe"

	"parley/media/decoder"

	"github.com/pion/webrtc/v4"
)

// vpxEncoder encodes VP8 or VP9 with libvpx. That of mediadevices passes timestamps to libvpx that
// are a thousand times too large, so that it does not keep the bitrate, and does not set the speed
// of VP9, which is 10 frames/s of 320x240 then.
type vpxEncoder struct {
	c        *C.vpxencoder
	duration time.Duration
	start    time.Time
	last     int64 // timestamp in µs since start
}

func vpxCodecs() map[string]newFrameEncoder {
	return map[string]newFrameEncoder{
		webrtc.MimeTypeVP8: func(width, height int, rate float64, bitrate int) (frameEncoder, error) {
			return newVPX(0, width, height, rate, bitrate)
		},
		webrtc.MimeTypeVP9: func(width, height int, rate float64, bitrate int) (frameEncoder, error) {
			return newVPX(1, width, height, rate, bitrate)
		},
	}
}

func newVPX(vp9, width, height int, rate float64, bitrate int) (frameEncoder, error) {
	var why *C.char
	c := C.vpxencoder_new(C.int(vp9), C.int(width), C.int(height), C.int(kilobits(bitrate)),
		C.int(math.Ceil(rate*keyFrameSeconds)), C.int(vpxThreads(width, height)), &why)
	if c == nil {
		return nil, errors.New(C.GoString(why))
	}
	return &vpxEncoder{c: c, duration: time.Duration(float64(time.Second) / rate), last: -1}, nil
}

func kilobits(bitrate int) int { return max(1, bitrate/1000) }

// vpxThreads returns the number of threads for a frame size. One core is left for the rest of a
// call.
func vpxThreads(width, height int) int {
	return max(1, min(width*height/(640*360), runtime.NumCPU()-1, 8))
}

// encode implements frameEncoder.
func (e *vpxEncoder) encode(p *image.YCbCr, at time.Time, key bool) ([]byte, error) {
	if e.start.IsZero() {
		e.start = at
	}
	e.last = max(at.Sub(e.start).Microseconds(), e.last+1)
	forced := 0
	if key {
		forced = 1
	}
	failed := C.vpxencoder_put(e.c, (*C.uchar)(&p.Y[0]), (*C.uchar)(&p.Cb[0]), (*C.uchar)(&p.Cr[0]),
		C.int(p.YStride), C.int(p.CStride), C.vpx_codec_pts_t(e.last), C.ulong(e.duration.Microseconds()), C.int(forced))
	if failed != 0 {
		return nil, fmt.Errorf("encode frame: %s", C.GoString(C.vpx_codec_err_to_string(failed)))
	}
	var size C.size_t
	data := C.vpxencoder_get(e.c, &size)
	if data == nil {
		return nil, nil
	}
	return C.GoBytes(unsafe.Pointer(data), C.int(size)), nil
}

// setBitrate implements frameEncoder.
func (e *vpxEncoder) setBitrate(bitrate int) error {
	if failed := C.vpxencoder_rate(e.c, C.int(kilobits(bitrate))); failed != 0 {
		return fmt.Errorf("change the bitrate to %d: %s", bitrate, C.GoString(C.vpx_codec_err_to_string(failed)))
	}
	return nil
}

// close implements frameEncoder.
func (e *vpxEncoder) close() {
	C.vpxencoder_free(e.c)
	e.c = nil
}

// Lacks returns texts about what is not in this build, and which build has it.
func Lacks() []string { return nil }

// vpxDecoder decodes VP8 or VP9 with libvpx.
type vpxDecoder struct {
	c     *C.vpx_codec_ctx_t
	frame image.YCbCr
}

func newVPXDecoder(mime string) (decoder.Decoder, error) {
	vp9 := C.int(0)
	if mime == webrtc.MimeTypeVP9 {
		vp9 = 1
	}
	var why *C.char
	c := C.vpxdecoder_new(vp9, 1, &why)
	if c == nil {
		return nil, errors.New("libvpx cannot create a decoder: " + C.GoString(why))
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
		return nil, errors.New("only 4:2:0 with 8 bits is decoded")
	}
	return copyPlanes(&d.frame, int(p.d_w), int(p.d_h), [3]unsafe.Pointer{
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
