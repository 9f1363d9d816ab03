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

// A Source is a local track that makes its own media.
//
// Bind and Unbind may come at any time, also while Run is running: a Source that nobody has bound keeps its pace and
// sends to nobody.
type Source interface {
	webrtc.TrackLocal

	// Codec is the MIME type of what the source sends, known before any negotiation: webrtc.MimeTypeVP8.
	Codec() string

	// Run paces media out until ctx ends or the source does, both of which are no error. It may be called once.
	Run(ctx context.Context) error

	// Close gives files back. It is safe without Run, and more than once; while Run is running, end its context first.
	Close() error
}

// A KeyFrameRequester is a track that wants to know when the far end asks for a key frame (PLI or FIR).
//
// The test picture and files do not need it: each test picture is a key frame, and the key frames of a file are where
// they are, so that a viewer of a file waits for the next one.
type KeyFrameRequester interface {
	// RequestKeyFrame asks for a key frame. It never blocks.
	RequestKeyFrame()
}

// VideoOptions are the options of OpenVideo. The zero value works.
type VideoOptions struct {
	// Width and Height of the test picture in pixels: 64 to 1920 and 48 to 1080. The default is 320 by 240. 640 by 480
	// at 15 frames a second takes most of one core, and larger pictures come at a lower rate than asked for. Files
	// have their own size; raw pictures (Y4M) are scaled to this one.
	Width, Height int

	// FrameRate in frames a second, 0.1 to 120. The default is 15 for the test picture, and what the file says
	// for files, or 30 for an .h264 file that does not say; if set it overrides an .h264 file. An .ivf file
	// carries a time for each frame and ignores it. Of raw pictures, those above this rate are left out.
	FrameRate float64

	// Bitrate of the test picture in bit/s. The default 0 keeps the quality constant, which is near 500 kbit/s at the
	// default size. All pictures are key frames, so that it cannot go below about 370 kbit/s there. Files ignore it;
	// raw pictures are encoded to it, and by default to what the encoder finds right.
	Bitrate int

	// Epoch is the time of frame 0 of the test video. The sources of one call share one. The default is the start of
	// Run.
	Epoch *testsignal.Epoch

	// NewEncoder encodes raw pictures (Y4M). The default nil refuses them.
	NewEncoder NewVideoEncoder

	// Stdin is what "-" reads, os.Stdin by default. Other readers than an *os.File are read by a goroutine that ends
	// only when a read returns.
	Stdin io.Reader

	// Opening ends the wait for a pipe or a program that sends nothing, in OpenVideo; Run has a context of its own. The
	// default waits.
	Opening context.Context

	// Loop starts a file, or a program, again when it ends.
	Loop bool

	// StreamID is the media stream that the track belongs to, "parley" by default. It should be the same for
	// the audio and video of one call: pages show what shares a stream.
	StreamID string

	// Logger gets warnings about a file. The default discards them.
	Logger *slog.Logger
}

// AudioOptions are the options of OpenAudio. The zero value works.
type AudioOptions struct {
	// Channels of the tone: 1 (the default) or 2. Files have their own.
	Channels int

	// Bitrate of the tone, or of a WAV file, in bit/s, 6000 to 510000. The default 0 leaves it to the encoder. Other
	// files ignore it.
	Bitrate int

	// Epoch is as in VideoOptions, for the timecode of "test".
	Epoch *testsignal.Epoch

	// Stdin is as in VideoOptions.
	Stdin io.Reader

	// Opening is as in VideoOptions.
	Opening context.Context

	// Loop starts a file, or a program, again when it ends.
	Loop bool

	// StreamID is as in VideoOptions.
	StreamID string

	// Logger gets warnings about a file. The default discards them.
	Logger *slog.Logger
}

// OpenVideo makes a Source of spec: "test", the path of a file, "-" for standard input, or "exec:COMMAND" for what a
// program writes to its standard output; the shell runs it, and it is ended with the source. Any of these may be IVF or
// WebM or Matroska with VP8, VP9 or AV1, Matroska with H.264, an H.264 byte stream, or raw pictures as Y4M; a file may
// also be MP4. What it holds decides, not its name. The error is a *media.SpecError or a *media.FileError.
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

// OpenAudio makes a Source of spec: "test" (a tone of 440 Hz with a code that a Judge reads), "tone:HZ" with 20 to 20000, or a file, "-" or
// "exec:COMMAND" as for OpenVideo: Ogg, WebM, Matroska or MP4 with Opus, or WAV. The error is a *media.SpecError or a
// *media.FileError.
func OpenAudio(spec string, o AudioOptions) (Source, error) {
	o.StreamID, o.Logger = streamID(o.StreamID), logger(o.Logger)
	hz, isTone := strings.CutPrefix(spec, "tone:")
	switch {
	case spec == "test":
		return newTone(spec, testsignal.DefaultFrequency, o)
	case isTone:
		f, err := strconv.ParseFloat(hz, 64)
		if err != nil || math.IsNaN(f) || f < testsignal.MinFrequency || f > testsignal.MaxFrequency {
			return nil, &media.SpecError{Spec: spec, Reason: "a tone is tone:HZ with 20 to 20000, like tone:440"}
		}
		return newTone(spec, f, o)
	}
	return openAudioFile(spec, o)
}

func (o VideoOptions) withDefaults() VideoOptions {
	o.StreamID, o.Logger = streamID(o.StreamID), logger(o.Logger)
	return o
}

func checkFrameRate(rate float64) error {
	if rate == 0 || rate >= 0.1 && rate <= 120 {
		return nil
	}
	return &media.SpecError{
		Spec:   "frame rate " + strconv.FormatFloat(rate, 'g', -1, 64),
		Reason: "frames a second must be between 0.1 and 120",
	}
}

func streamID(id string) string {
	if id == "" {
		return "parley"
	}
	return id
}

func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.Level(math.MaxInt)}))
	}
	return l
}
