//go:build linux && cgo

package libcodec

/*
#include <stdint.h>

// From opus.h and opus_defines.h of version 1.3.1, which mediadevices contains. The functions are
// weak: cgo links this package alone first, without them.
typedef struct OpusEncoder OpusEncoder;
extern OpusEncoder *opus_encoder_create(int32_t rate, int channels, int application, int *error) __attribute__((weak));
extern int32_t opus_encode(OpusEncoder *, const int16_t *pcm, int samples, unsigned char *data, int32_t size) __attribute__((weak));
extern int opus_encoder_ctl(OpusEncoder *, int request, ...) __attribute__((weak));
extern void opus_encoder_destroy(OpusEncoder *) __attribute__((weak));

enum { VOIP = 2048, SET_BITRATE = 4002, SET_INBAND_FEC = 4012, SET_PACKET_LOSS = 4014, SET_DTX = 4016 };

static OpusEncoder *opusencoder_new(int rate, int channels, int bitrate, int loss, int *error) {
	OpusEncoder *e = opus_encoder_create(rate, channels, VOIP, error);
	if (!e) return 0;
	int failed;
	if ((failed = opus_encoder_ctl(e, SET_BITRATE, (int32_t)bitrate)) || (failed = opus_encoder_ctl(e, SET_INBAND_FEC, (int32_t)1)) ||
		(failed = opus_encoder_ctl(e, SET_PACKET_LOSS, (int32_t)loss)) || (failed = opus_encoder_ctl(e, SET_DTX, (int32_t)1))) {
		*error = failed;
		opus_encoder_destroy(e);
		return 0;
	}
	return e;
}

static int opusencoder_set_loss(OpusEncoder *e, int loss) { return opus_encoder_ctl(e, SET_PACKET_LOSS, (int32_t)loss); }

static int32_t opusencoder_put(OpusEncoder *e, const int16_t *pcm, int samples, unsigned char *data, int32_t size) {
	return opus_encode(e, pcm, samples, data, size);
}

static void opusencoder_free(OpusEncoder *e) { opus_encoder_destroy(e); }
*/
import "C"

import (
	"fmt"

	// libopus. The encoder of mediadevices itself has neither FEC nor DTX.
	_ "github.com/pion/mediadevices/pkg/codec/opus"
)

// OpusEncoder encodes with libopus for speech, with in-band FEC and DTX (RFC 6716 sections 2.1.7
// and 2.1.9). One goroutine uses it.
type OpusEncoder struct {
	c        *C.OpusEncoder
	channels int
	loss     int        // expected packet loss in percent
	packet   [1275]byte // of the size of the largest frame, RFC 6716 section 3.4
}

// NewOpusEncoder returns an encoder for a sample rate in Hz, a bitrate in bit/s, and an expected
// packet loss in percent. The caller calls Close.
func NewOpusEncoder(rate, channels, bitrate, loss int) (*OpusEncoder, error) {
	var failed C.int
	c := C.opusencoder_new(C.int(rate), C.int(channels), C.int(bitrate), C.int(loss), &failed)
	if c == nil {
		return nil, fmt.Errorf("libopus rejects %d Hz, %d channels, %d bit/s (%d)", rate, channels, bitrate, failed)
	}
	return &OpusEncoder{c: c, channels: channels, loss: loss}, nil
}

// Encode returns a packet, valid until the next call.
func (e *OpusEncoder) Encode(pcm []int16) ([]byte, error) {
	n := C.opusencoder_put(e.c, (*C.int16_t)(&pcm[0]), C.int(len(pcm)/e.channels), (*C.uchar)(&e.packet[0]), C.int32_t(len(e.packet)))
	if n < 0 {
		return nil, fmt.Errorf("libopus fails (%d)", n)
	}
	return e.packet[:n], nil
}

// SetPacketLoss sets the expected packet loss in percent.
func (e *OpusEncoder) SetPacketLoss(loss int) error {
	if loss == e.loss {
		return nil
	}
	if failed := C.opusencoder_set_loss(e.c, C.int(loss)); failed != 0 {
		return fmt.Errorf("libopus rejects a packet loss of %d %% (%d)", loss, failed)
	}
	e.loss = loss
	return nil
}

// Close frees the encoder.
func (e *OpusEncoder) Close() {
	C.opusencoder_free(e.c)
	e.c = nil
}
