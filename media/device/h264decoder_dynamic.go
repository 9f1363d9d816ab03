//go:build linux && cgo && dynamic

package device

import (
	"errors"

	"parley/media/source"
)

func newH264Decoder() (source.Decoder, error) {
	return nil, errors.New("this build does not decode H264: it was made with the tag dynamic")
}
