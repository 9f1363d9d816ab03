// Package recorder writes received media to files.
package recorder

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"parley/media"
	"parley/media/container/annexb"
	"parley/media/container/ivf"
	"parley/media/container/ogg"

	"github.com/pion/webrtc/v4"
)

// ErrNothingRecorded is in the error of Recorder.Close if no frame came that could be written.
var ErrNothingRecorded = errors.New("nothing was recorded: no media came")

// Options are the options of a Recorder. The zero value works.
type Options struct {
	// Audio and Video say which kinds will come. A .webm or .mp4 file names its tracks at its start, so that it begins
	// when those have come, and those that Track has been called for. Others ignore it.
	Audio, Video bool

	// SplitTime begins another file when one has that length, and SplitBytes when one has that size; with video, at
	// the next key frame, which is asked for. The default 0 does not split. Both at once are fine.
	SplitTime  time.Duration
	SplitBytes int64

	// Next is the path of the next file, of the same format; it is to be a new one each time. Splitting needs it, and so
	// does a sender that goes over to another codec, of which a container has one for each track: without it that is an
	// error.
	Next func() string

	// RequestKeyFrame asks the sender of the video for a key frame, where a file is to end. It must not block. The
	// default waits for one that comes by itself.
	RequestKeyFrame func()

	// Wait is how long a .webm or .mp4 file waits for a kind that does not come, counted from the first frame of the
	// other: 5 s by default. Up to then nothing is on the disk; what comes later than that is not recorded.
	Wait time.Duration

	// Logger gets what is odd. The default discards it.
	Logger *slog.Logger
}

const (
	defaultRecorderWait = 5 * time.Second
	// patience is how long a track may be silent before another one takes its place.
	patience = time.Second
)

// A Recorder writes what is received to a file, without encoding it again. Video begins with a key frame, and after a
// loss it goes on with the next one (the Receiver asks for it): a file has no broken pictures, but it may stand still.
//
// What is written is on the disk soon: a file whose writer was killed plays up to a second before (.mp4: two or three),
// one whose machine has lost its power up to two seconds earlier.
type Recorder struct {
	format  format
	options Options

	mu     sync.Mutex // guards what follows
	paths  []string   // the last one is being written
	file   *outFile
	writer frameWriter
	tracks map[webrtc.RTPCodecType]*recordTrack
	frames uint64
	split  split
	err    error // the first one
	closed bool
}

// recordTrack is one track of a recording.
type recordTrack struct {
	kind     webrtc.RTPCodecType
	mime     string
	time     timeline
	begun    int         // sinks that have begun, or come back
	from     *recordSink // whose frames are in the file, nil before
	waitsKey bool        // video: until the next key frame nothing can be decoded
	sized    bool        // a frame has come that has its size
}

// frameWriter is a container in the making. Frames come in order for each track.
type frameWriter interface {
	// add says that there is a track, before its first frame.
	add(t *recordTrack)
	write(t *recordTrack, f media.Frame) error
	// finish writes what is pending and patches the start.
	finish() error
}

// format is what a container can hold.
type format struct {
	extension    string
	audio, video []string // MIME types
	new          func(*outFile, Options) frameWriter
}

// formats are all the containers, in the order in which errors name them.
func formats() []format {
	vpx := []string{webrtc.MimeTypeVP8, webrtc.MimeTypeVP9, webrtc.MimeTypeAV1}
	opus := []string{webrtc.MimeTypeOpus}
	return []format{
		{extension: ".webm", audio: opus, video: vpx, new: newWebM},
		{extension: ".mp4", audio: opus, video: []string{webrtc.MimeTypeH264, webrtc.MimeTypeVP9, webrtc.MimeTypeAV1}, new: newMP4},
		{extension: ".ivf", video: vpx, new: newSingleTrack(ivf.NewMuxer)},
		{extension: ".ogg", audio: opus, new: newSingleTrack(ogg.NewMuxer)},
		{extension: ".h264", video: []string{webrtc.MimeTypeH264}, new: newSingleTrack(annexb.NewMuxer)},
	}
}

// New creates the file at path, whose name says the format: .webm (VP8, VP9, AV1, and Opus), .mp4 (H.264, VP9,
// AV1, and Opus), .ivf (VP8, VP9, AV1), .ogg (Opus) or .h264. The error is a *media.SpecError for another name, and a
// *media.FileError otherwise.
func New(path string, o Options) (*Recorder, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Wait <= 0 {
		o.Wait = defaultRecorderWait
	}
	extension := strings.ToLower(filepath.Ext(path))
	for _, f := range formats() {
		if f.extension == extension {
			r := &Recorder{format: f, options: o, tracks: make(map[webrtc.RTPCodecType]*recordTrack)}
			if err := r.create(path); err != nil {
				return nil, err
			}
			return r, nil
		}
	}
	return nil, &media.SpecError{Spec: path, Reason: "the name of a recording ends with .webm, .mp4, .ivf, .ogg or .h264"}
}

// create begins a file.
func (r *Recorder) create(path string) (err error) {
	if r.file, err = createFile(path); err != nil {
		return err
	}
	r.paths = append(r.paths, path)
	r.writer = r.format.new(r.file, r.options)
	return nil
}

// Files are the files that have been written, or begun, in order.
func (r *Recorder) Files() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.paths)
}

// path is that of the latest file.
func (r *Recorder) path() string { return r.paths[len(r.paths)-1] }

// Takes tells whether the container holds tracks of a kind at all: an .ogg file takes no video.
func (r *Recorder) Takes(kind webrtc.RTPCodecType) bool { return len(r.format.codecs(kind)) > 0 }

func (f format) codecs(kind webrtc.RTPCodecType) []string {
	if kind == webrtc.RTPCodecTypeAudio {
		return f.audio
	}
	return f.video
}

// Track returns the sink for the frames of a remote track. There is one track of each kind in a file; a second one of
// the same kind takes its place, until the first is heard of again. The error says which container fits.
func (r *Recorder) Track(kind webrtc.RTPCodecType, mime string) (media.FrameSink, error) {
	mime = media.CanonicalMIME(mime)
	if !holds(r.format.codecs(kind), mime) {
		return nil, media.WrapFileError(r.Files()[0], misfit(r.format.extension, kind, mime))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t, ok := r.tracks[kind]
	if ok && t.mime != mime && r.options.Next == nil {
		return nil, media.WrapFileError(r.path(), fmt.Errorf("the recording has %s in %s already, %s cannot go on from there",
			kind, media.CodecName(t.mime), media.CodecName(mime)))
	}
	if !ok {
		t = &recordTrack{kind: kind, mime: mime, waitsKey: kind == webrtc.RTPCodecTypeVideo}
		r.tracks[kind] = t
		r.writer.add(t)
	}
	return &recordSink{recorder: r, track: t}, nil
}

func holds(codecs []string, mime string) bool {
	for _, c := range codecs {
		if strings.EqualFold(c, mime) {
			return true
		}
	}
	return false
}

// misfit says which containers fit.
func misfit(extension string, kind webrtc.RTPCodecType, mime string) error {
	var fits []string
	for _, f := range formats() {
		if holds(f.codecs(kind), mime) {
			fits = append(fits, f.extension)
		}
	}
	if len(fits) == 0 {
		return fmt.Errorf("%s in %s cannot be recorded", kind, media.CodecName(mime))
	}
	return fmt.Errorf("%s in %s does not fit into %s; record to %s", kind, media.CodecName(mime), extension, strings.Join(fits, " or "))
}

// Close finishes the file. It returns the first error there was, also one that a sink has returned before. A second
// call does nothing.
func (r *Recorder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	if r.frames == 0 && r.err == nil {
		r.err = ErrNothingRecorded
	}
	if r.file != nil {
		r.note(r.writer.finish())
		r.note(r.file.Close())
	}
	return media.WrapFileError(r.path(), r.err)
}

// askKey asks the sender of the video for a key frame.
func (r *Recorder) askKey() {
	if r.options.RequestKeyFrame != nil {
		r.options.RequestKeyFrame()
	}
}

// note remembers the first error.
func (r *Recorder) note(err error) {
	if r.err == nil {
		r.err = err
	}
}

// recordSink is the end of a Recorder that a Receiver sees.
type recordSink struct {
	recorder *Recorder
	track    *recordTrack
	number   int       // the later ones take the place of the earlier ones
	last     time.Time // frame
}

// WriteFrame implements media.FrameSink.
func (s *recordSink) WriteFrame(f media.Frame) error {
	r, t := s.recorder, s.track
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return nil // the track may end a little later than the recording
	case r.err != nil:
		return media.WrapFileError(r.path(), r.err)
	case f.Codec != t.mime && r.options.Next == nil:
		return media.WrapFileError(r.path(), fmt.Errorf("%s changed from %s to %s, which cannot go on in one file",
			t.kind, media.CodecName(t.mime), media.CodecName(f.Codec)))
	case !holds(r.format.codecs(t.kind), f.Codec):
		return media.WrapFileError(r.path(), misfit(r.format.extension, t.kind, f.Codec))
	case !s.accept(f):
		return nil
	}
	if f.Codec != t.mime || r.mayEnd(t, f) {
		if err := r.begin(t, f); err != nil {
			return err
		}
	}
	r.frames++
	if err := r.writer.write(t, f); err != nil {
		r.err = err
		return media.WrapFileError(r.path(), err)
	}
	return nil
}

// accept leaves out what cannot be decoded, and what comes from a track in whose place another has come: the one that
// began last, or came back after a while, as long as it is not silent.
func (s *recordSink) accept(f media.Frame) bool {
	r, t := s.recorder, s.track
	if f.Arrival.Sub(s.last) > patience {
		t.begun++
		s.number = t.begun
	}
	s.last = f.Arrival
	switch {
	case t.from != nil && s.number < t.from.number && f.Arrival.Sub(t.from.last) <= patience:
		return false
	case t.kind != webrtc.RTPCodecTypeVideo:
	case s != t.from || f.Codec != t.mime:
		if !f.Key {
			r.askKey()
			return false
		}
		if t.from == nil {
			t.mime = f.Codec // whatever was announced
		}
		t.waitsKey = false
	default:
		t.waitsKey = (t.waitsKey || f.Gap) && !f.Key
	}
	if !t.waitsKey {
		t.from = s
	}
	return !t.waitsKey
}
