//go:build !linux || !cgo

package device

import (
	"errors"
	"runtime"
	"strings"

	"parley/media"
	"parley/media/decoder"
	"parley/media/device/inventory"
	"parley/media/source"
)

type (
	sharedVideo struct{}
	sharedAudio struct{}
)

func (s *Shared) openVideo(spec string, _ VideoOptions) (source.Source, error) {
	class, _, _ := strings.Cut(spec, ":")
	if class == "test" {
		class = "encoder for the test video"
	}
	return nil, &media.FileError{Path: spec, Err: missing(class)}
}

func (s *Shared) openAudio(spec string, _ AudioOptions) (source.Source, error) {
	return nil, &media.FileError{Path: spec, Err: missing("microphone")}
}

func newRawEncoder(string, int, int, float64, int) (source.VideoEncoder, error) {
	return nil, missing("encoder for raw video")
}

func openPlayback(*Speaker) (playback, error) { return nil, missing("speaker") }

func newDecoder(string) (decoder.Decoder, error) { return nil, missing("decoder") }

// missing returns an error that says which build has a class of devices.
func missing(class string) error {
	if runtime.GOOS != "linux" {
		return errors.New("this build has no " + class + ": devices work in a build for Linux only")
	}
	return errors.New("this build has no " + class + ": it was made without cgo; build with CGO_ENABLED=1 and gcc")
}

func list() inventory.All { return inventory.All{} }

func codecs() []string { return nil }

func lacks() []string {
	return []string{missing("camera, microphone, speaker or screen, and no encoder for them").Error()}
}
