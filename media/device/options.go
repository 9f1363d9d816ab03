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
	// Codec is the MIME type to encode to, one of Codecs. The default is the first of the
	// negotiated codecs that this build encodes.
	Codec string

	// Simulcast sends three layers, each with half of the width and height of the one above. It
	// takes a third more CPU and bandwidth.
	Simulcast bool

	// Width and Height in pixels, by default 640x480. A camera uses the nearest size that it has.
	// They do not apply to a screen.
	Width, Height int

	// FrameRate in frames per second, 0.1 to 120, by default 30 for a camera and 10 for a screen. A
	// camera uses the nearest rate that it has at its size.
	FrameRate float64

	// Bitrate is the target bitrate in bit/s, and the limit of what bandwidth estimation allows.
	// The default is a tenth of a bit per pixel, which is 900 kbit/s for 640x480 at 30 frames/s.
	Bitrate int

	// StreamID is as in source.VideoOptions.
	StreamID string

	// Warn is called with a text for a user when the device differs from the options, is lost or is
	// back. Warn is called by the goroutines of Run and OpenVideo, and must not block. Names of
	// devices in the text are not sanitized for a terminal. The default does nothing.
	Warn func(text string)

	// Logger gets details. The default discards them.
	Logger *slog.Logger
}

// AudioOptions are the options of OpenAudio. The zero value works.
type AudioOptions struct {
	// Rate is the sample rate of the microphone and of the encoder in Hz: 8000, 12000, 16000, 24000
	// or 48000 (the default). Other rates become the nearest of these.
	Rate int

	// Channels is the number of channels, 1 (the default) or 2.
	Channels int

	// Bitrate in bit/s, 6000 to 510000. The default is 32000 per channel.
	Bitrate int

	// StreamID is as in source.VideoOptions.
	StreamID string

	// Warn is as in VideoOptions.
	Warn func(text string)

	// Logger is as in VideoOptions.
	Logger *slog.Logger
}

// Names reports whether spec names a device: "camera", "screen" or "microphone", alone or with
// ":ID".
func Names(spec string) bool {
	class, _, _ := strings.Cut(spec, ":")
	return class == "camera" || class == "screen" || class == "microphone"
}

// OpenVideo opens "camera", "camera:ID", "screen", "screen:ID", or "test", which encodes the
// pattern of package testsignal with an encoder of this build. ID is the index in List, the ID of
// the device, or a part of its name. The device is in use until Close. The error is a
// *media.FileError (missing, busy, not permitted, not in this build) or a *media.SpecError.
func OpenVideo(spec string, o VideoOptions) (source.Source, error) {
	return new(Shared).OpenVideo(spec, o)
}

// OpenAudio opens "microphone", the default one of the system, or "microphone:ID". ID and errors
// are those of OpenVideo.
func OpenAudio(spec string, o AudioOptions) (source.Source, error) {
	return new(Shared).OpenAudio(spec, o)
}

// checkVideo validates the options and sets defaults.
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

// checkAudio validates the options and sets defaults.
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

// NewEncoder returns a function that creates encoders for a codec, one of Codecs, or the first of
// them for "". The error of that function is a *media.SpecError, or says which build has the
// encoder.
func NewEncoder(codec string) source.NewVideoEncoder {
	return func(width, height int, rate float64, bitrate int) (source.VideoEncoder, error) {
		return newRawEncoder(codec, width, height, rate, bitrate)
	}
}

// NewDecoder is a decoder.NewFunc for H.264 in a build with cgo, and VP8 and VP9 in a build with
// libvpx. The error says which build has the decoder.
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
