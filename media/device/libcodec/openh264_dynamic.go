//go:build linux && cgo && dynamic

package libcodec

import (
	"errors"

	"parley/media/decoder"
)

func newH264Decoder() (decoder.Decoder, error) {
	return nil, errors.New("this build does not decode H264: it was made with the tag dynamic")
}
