//go:build linux && cgo && !vpx

package libcodec

import (
	"errors"

	"parley/media/decoder"
)

func vpxCodecs() map[string]newFrameEncoder { return map[string]newFrameEncoder{} }

// Lacks returns texts about what is not in this build, and which build has it.
func Lacks() []string {
	return []string{"this build does not encode VP8 and VP9: it was made without libvpx; install libvpx-dev and build with -tags vpx"}
}

func newVPXDecoder(mime string) (decoder.Decoder, error) {
	return nil, errors.New("this build does not decode " + mime[len("video/"):] + ": it was made without libvpx; install libvpx-dev and build with -tags vpx")
}
