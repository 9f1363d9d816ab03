package device

import (
	"fmt"
	"log/slog"
	"math"
	"strings"

	"parley/media"
	"parley/media/decoder"
	"parley/media/source"
)

// VideoOptions are the options of OpenVideo. The zero value works.
type VideoOptions struct {
	// Codec is the MIME type to encode to, one of Codecs. By default it is settled when the source is bound: the first
	// of those negotiated that this build encodes to.
	Codec string

	// Simulcast sends three sizes at once, each half of the one above, for a server that passes on to each viewer
	// what fits. It takes a third more of the processor, and of the network.
	Simulcast bool

	// Width and Height in pixels, 640 by 480 by default. A camera gives the nearest it can do; a screen has the size
	// it has.
	Width, Height int

	// FrameRate in frames a second, 0.1 to 120; by default 30 for a camera and 10 for a screen. A camera gives the
	// nearest it can do at the size it has been found to do.
	FrameRate float64

	// Bitrate to aim at in bit/s, which is also the most: less is sent while the network carries less. The default 0
	// takes about a tenth of a bit for each pixel of each picture, which is 900 kbit/s at 640 by 480 and 30 pictures
	// a second.
	Bitrate int

	// StreamID is as in source.VideoOptions.
	StreamID string

	// Warn gets sentences that a user should know: that the device does not do what was asked for, that it is gone,
	// that it is back. It is called from the goroutines of Run and OpenVideo and must not block. Names of devices in
	// them are as the device gives them: not to be trusted on a terminal. The default discards them.
	Warn func(sentence string)

	// Logger gets more about the same. The default discards it.
	Logger *slog.Logger
}

// AudioOptions are the options of OpenAudio. The zero value works.
type AudioOptions struct {
	// Rate to record and encode at in samples a second: 8000, 12000, 16000, 24000 or 48000, which is what Opus
	// knows; others become the nearest of these. The default is 48000. Lower rates cut the high tones and spare
	// little.
	Rate int

	// Channels to record, 1 (the default) or 2.
	Channels int

	// Bitrate in bit/s, 6000 to 510000. The default is 32000 for one channel and 64000 for two.
	Bitrate int

	// StreamID is as in source.VideoOptions.
	StreamID string

	// Warn is as in VideoOptions.
	Warn func(sentence string)

	// Logger is as in VideoOptions.
	Logger *slog.Logger
}

// Names tells if spec names a device: "camera", "screen" or "microphone", alone or with ":ID".
func Names(spec string) bool {
	class, _, _ := strings.Cut(spec, ":")
	return class == "camera" || class == "screen" || class == "microphone"
}

// OpenVideo opens "camera", "camera:ID", "screen", "screen:ID" or "test", the test picture of package media by one of this
// build's encoders. ID is the number that List counts from 0, the device's ID, or a part of its name. The device is in
// use from then on until Close. The error is a *media.FileError (missing, busy, not allowed, not in this build) or a
// *media.SpecError.
func OpenVideo(spec string, o VideoOptions) (source.Source, error) {
	return new(Shared).OpenVideo(spec, o)
}

// OpenAudio opens "microphone" or "microphone:ID"; ID and errors are as with OpenVideo. Without ID it is the one that
// the system has as its default.
func OpenAudio(spec string, o AudioOptions) (source.Source, error) {
	return new(Shared).OpenAudio(spec, o)
}

// checkVideo completes the options.
func checkVideo(spec string, o *VideoOptions) error {
	o.Warn, o.Logger = warnFunc(o.Warn), logger(o.Logger)
	class, _, _ := strings.Cut(spec, ":")
	switch {
	case class != "camera" && class != "screen" && spec != "test":
		return &media.SpecError{Spec: spec, Reason: "video is camera, camera:ID, screen, screen:ID or test"}
	case o.FrameRate != 0 && (o.FrameRate < 0.1 || o.FrameRate > 120 || math.IsNaN(o.FrameRate)):
		return &media.SpecError{Spec: fmt.Sprintf("frame rate %g", o.FrameRate), Reason: "want 0.1 to 120 frames per second"}
	case o.Width < 0 || o.Height < 0 || (o.Width == 0) != (o.Height == 0):
		return &media.SpecError{Spec: fmt.Sprintf("video size %dx%d", o.Width, o.Height), Reason: "give both width and height, or neither"}
	case o.Bitrate < 0:
		return &media.SpecError{Spec: fmt.Sprintf("video bitrate %d", o.Bitrate), Reason: "it cannot be negative"}
	}
	return nil
}

// checkAudio completes the options.
func checkAudio(spec string, o *AudioOptions) error {
	o.Warn, o.Logger = warnFunc(o.Warn), logger(o.Logger)
	if o.Channels == 0 {
		o.Channels = 1
	}
	if o.Bitrate == 0 {
		o.Bitrate = 32000 * o.Channels
	}
	class, _, _ := strings.Cut(spec, ":")
	switch {
	case class != "microphone":
		return &media.SpecError{Spec: spec, Reason: "audio is microphone or microphone:ID"}
	case o.Channels < 0 || o.Channels > 2:
		return &media.SpecError{Spec: spec, Reason: fmt.Sprintf("it records 1 or 2 channels, not %d", o.Channels)}
	case o.Bitrate < 6000 || o.Bitrate > 510000:
		return &media.SpecError{Spec: spec, Reason: fmt.Sprintf("the bitrate of Opus is 6000 to 510000, not %d", o.Bitrate)}
	case o.Rate < 0:
		return &media.SpecError{Spec: spec, Reason: fmt.Sprintf("a rate of %d samples a second makes no sense", o.Rate)}
	}
	return nil
}

// NewEncoder returns the maker of an encoder, for source.VideoOptions, to a codec, one of Codecs; the default "" is the
// first of them. The maker's error is a *media.SpecError, or says that this build has no encoder and which has.
func NewEncoder(codec string) source.NewVideoEncoder {
	return func(width, height int, rate float64, bitrate int) (source.VideoEncoder, error) {
		return newRawEncoder(codec, width, height, rate, bitrate)
	}
}

// NewDecoder is a decoder.NewFunc: H264 in a build with cgo, VP8 and VP9 in one with libvpx. The error says which build
// has what this one lacks.
func NewDecoder(mime string) (decoder.Decoder, error) { return newDecoder(mime) }

func warnFunc(f func(string)) func(string) {
	if f == nil {
		return func(string) {}
	}
	return f
}

func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
