package source

import (
	"context"
	"io"
	"log/slog"
	"math"
	"strconv"
	"strings"

	"parley/media"
	"parley/media/testsignal"

	"github.com/pion/webrtc/v4"
)

// A Source is a local track that produces its own media.
//
// Bind and Unbind may be called at any time, also during Run: a Source without a bound sender keeps
// its pace and drops its frames.
type Source interface {
	webrtc.TrackLocal

	// Codec returns the MIME type of the media, which is known before any negotiation:
	// webrtc.MimeTypeVP8.
	Codec() string

	// Run paces media until ctx ends or the media end, neither of which is an error. It may be
	// called once.
	Run(ctx context.Context) error

	// Close releases files and programs. It may be called without Run and more than once, but not
	// during Run.
	Close() error
}

// A KeyFrameRequester is a track that produces a key frame on request (PLI or FIR). The test video
// does not need it, because each of its frames is a key frame; neither do files, whose key frames
// are where they are.
type KeyFrameRequester interface {
	// RequestKeyFrame requests a key frame. It never blocks.
	RequestKeyFrame()
}

// VideoOptions are the options of OpenVideo. The zero value is valid.
type VideoOptions struct {
	// Width and Height of the test video in pixels: 64 to 1920 and 48 to 1080. The default is 320
	// by 240. 640 by 480 at 15 frames per second takes most of one core, and larger video has a
	// lower frame rate than requested. Raw video (Y4M) is scaled to this size; other files have
	// their own.
	Width, Height int

	// FrameRate in frames per second, 0.1 to 120. The default is 15 for the test video, and what
	// the stream says for other sources, or 30 for H.264 without timing. It overrides the rate of
	// an H.264 byte stream and limits that of raw video, whose other frames are dropped. Streams
	// with timestamps ignore it.
	FrameRate float64

	// Bitrate of the test video in bit/s. The default 0 keeps the quality constant, which is near
	// 500 kbit/s at the default size. All frames are key frames, so that the minimum is about 370
	// kbit/s at that size. Raw video is encoded at this bitrate, by default at that of the encoder.
	// Other files ignore it.
	Bitrate int

	// Epoch is the time of frame 0 of the test video. The sources of one call share one. The
	// default is the start of Run.
	Epoch *testsignal.Epoch

	// NewEncoder creates the encoder of raw video (Y4M), which is refused if it is nil.
	NewEncoder NewVideoEncoder

	// Stdin is what "-" reads, os.Stdin by default. A reader that is not an *os.File is read by a
	// goroutine that ends only when a read returns.
	Stdin io.Reader

	// Opening ends the wait of OpenVideo for a pipe or a program that sends nothing. By default it
	// waits for ever. Run has a context of its own.
	Opening context.Context

	// Loop starts a file or a program again when it ends.
	Loop bool

	// StreamID is the ID of the media stream, "parley" by default. The tracks of a call should have
	// the same one: pages play the tracks of one stream together.
	StreamID string

	// Logger gets warnings about the media. The default discards them.
	Logger *slog.Logger
}

// AudioOptions are the options of OpenAudio. The zero value is valid.
type AudioOptions struct {
	// Channels of the tone: 1 (the default) or 2. Other sources have their own.
	Channels int

	// Bitrate of the tone, or of raw audio (WAV), in bit/s, 6000 to 510000. The default 0 is that
	// of the encoder. Other sources ignore it.
	Bitrate int

	// Epoch, Stdin, Opening, Loop, StreamID and Logger are those of VideoOptions. Epoch is for the
	// timecode of "test".
	Epoch    *testsignal.Epoch
	Stdin    io.Reader
	Opening  context.Context
	Loop     bool
	StreamID string
	Logger   *slog.Logger
}

// OpenVideo opens a video source: "test", the path of a file, "-" for standard input, or
// "exec:COMMAND" for what a program writes to standard output. The shell runs the program, which
// ends with the source. The formats are those of package container; the content decides, not the
// name. MP4 from standard input or a program must have its index (moov) first. The error is a
// *media.SpecError or a *media.FileError.
func OpenVideo(spec string, o VideoOptions) (Source, error) {
	o = o.withDefaults()
	if err := checkFrameRate(o.FrameRate); err != nil {
		return nil, err
	}
	if spec == "test" {
		return newTestVideo(o)
	}
	return openVideoFile(spec, o)
}

// OpenAudio opens an audio source: "test" (a tone of 440 Hz with a timecode that quality.Analyzer
// reads), "tone:HZ" with 20 to 20000 Hz, or a file, "-" or "exec:COMMAND" as for OpenVideo. The
// error is a *media.SpecError or a *media.FileError.
func OpenAudio(spec string, o AudioOptions) (Source, error) {
	o.Logger = loggerOrDiscard(o.Logger)
	hz, isTone := strings.CutPrefix(spec, "tone:")
	switch {
	case spec == "test":
		return newTone(spec, testsignal.DefaultFrequency, o)
	case isTone:
		f, err := strconv.ParseFloat(hz, 64)
		if err != nil || math.IsNaN(f) || f < testsignal.MinFrequency || f > testsignal.MaxFrequency {
			return nil, &media.SpecError{Spec: spec, Reason: "want tone:HZ with 20 to 20000 Hz, such as tone:440"}
		}
		return newTone(spec, f, o)
	}
	return openAudioFile(spec, o)
}

func (o VideoOptions) withDefaults() VideoOptions {
	o.Logger = loggerOrDiscard(o.Logger)
	return o
}

func checkFrameRate(rate float64) error {
	if rate == 0 || rate >= 0.1 && rate <= 120 {
		return nil
	}
	return &media.SpecError{
		Spec:   "frame rate " + strconv.FormatFloat(rate, 'g', -1, 64),
		Reason: "want 0.1 to 120 frames per second",
	}
}

func loggerOrDiscard(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
