//go:build linux && cgo && !vpx

package device

import (
	"errors"

	"parley/media/decoder"
)

func vpxCodecs() map[string]newFrameEncoder { return map[string]newFrameEncoder{} }

func lacks() []string {
	return []string{"this build does not encode VP8 and VP9: it was made without libvpx; install libvpx-dev and build with -tags vpx"}
}

func newVPXDecoder(mime string) (decoder.Decoder, error) {
	return nil, errors.New("this build does not decode " + mime[len("video/"):] + ": it was made without libvpx; install libvpx-dev and build with -tags vpx")
}
