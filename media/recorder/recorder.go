// Package recorder writes received media to files.
package recorder

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"parley/media"

	"github.com/pion/webrtc/v4"
)

// ErrEmpty is in the error of Recorder.Close if no frame was recorded.
var ErrEmpty = errors.New("nothing was recorded: no media arrived")

// Options are the options of a Recorder. The zero value works.
type Options struct {
	// Audio and Video are the numbers of tracks that are expected. A file lists its tracks in its
	// header, which is written when the expected ones have started. A track that starts later
	// begins another file.
	Audio, Video int

	// Wait is how long the header waits for expected tracks, counted from the first frame: 5 s by
	// default. Until then there is no file.
	Wait time.Duration

	// SegmentTime begins another file when the current one has this length, and SegmentBytes when
	// it has this size; with video, at the next key frame. The default 0 keeps one file.
	SegmentTime  time.Duration
	SegmentBytes int64

	// Next returns the path of the next file, with the same extension; each call returns another
	// one. Next is called when a file is full, when the tracks, a codec or the orientation of the
	// video change, and when a file exists already. Default: the first path with -2, -3 and so on
	// before the extension.
	Next func() string

	// Overwrite replaces existing files. By default they are kept, and Next names another file.
	Overwrite bool

	// OnFile reports that the file at path was created. It must not block.
	OnFile func(path string)
}

const (
	defaultWait = 5 * time.Second
	// segmentWait is how long a file that should end waits for a key frame.
	segmentWait = 10 * time.Second
	// minSegment is how long a file is before a change of codec or orientation begins
	// another one, which bounds the number of files that a sender can cause.
	minSegment = time.Second
	// maxNames bounds the search for the name of a file that does not exist.
	maxNames = 10_000
)

// Recorder writes the frames of remote tracks to files, as they were encoded. Video starts with a
// key frame, and continues with one after a loss, so that a file can be decoded without errors.
//
// Frames are on the disk soon: if the process is killed, a file plays up to a second before (.mp4:
// up to three), and up to two seconds less if the machine loses power.
type Recorder struct {
	format  format
	options Options

	mu     sync.Mutex // guards the following and the Tracks
	given  string     // the path that New was called with
	path   string     // of the current file, created or not
	paths  []string   // of all created files
	number int        // of the latest default name
	first  bool       // the current file is the first one
	file   *file      // nil until it is created
	writer *interleaver
	tracks []*Track
	began  time.Time // arrival of the first frame of the current file
	due    time.Time // when the current file should have ended, zero before
	err    error     // the first one
	closed bool
}

// New returns a Recorder that writes to the file at path. Its extension selects the format: .webm
// (VP8, VP9, AV1, Opus), .mkv (also H.264 and G.711), .mp4 (H.264, VP9, AV1, Opus), .ivf (VP8, VP9,
// AV1), .ogg (Opus), .wav (G.711) or .h264. G.711 is recorded as Opus where the format holds Opus
// only. A FIFO or a character device is written from front to back.
//
// The file is created with the first frames. New checks that this is possible. The error is a
// *media.SpecError for an unknown extension, or a *media.FileError.
func New(path string, o Options) (*Recorder, error) {
	if o.Wait <= 0 {
		o.Wait = defaultWait
	}
	f, err := formatOf(path)
	if err != nil {
		return nil, err
	}
	if err := checkPath(path, o.Overwrite); err != nil {
		return nil, err
	}
	r := &Recorder{format: f, options: o, given: path, path: path, number: 1, first: true}
	if o.Next == nil {
		r.options.Next = r.numbered
	}
	r.writer = r.newWriter()
	return r, nil
}

// numbered is the default of Options.Next.
func (r *Recorder) numbered() string {
	r.number++
	extension := filepath.Ext(r.given)
	return fmt.Sprintf("%s-%d%s", strings.TrimSuffix(r.given, extension), r.number, extension)
}

// newWriter returns the interleaver of the next file.
func (r *Recorder) newWriter() *interleaver {
	return &interleaver{create: r.create, expected: r.expected, output: func() *file { return r.file }, wait: r.options.Wait}
}

// Files returns the paths of the files that were created, in order.
func (r *Recorder) Files() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.paths)
}

// Takes reports whether the format holds tracks of a kind at all.
func (r *Recorder) Takes(kind webrtc.RTPCodecType) bool { return r.format.takes(kind) }

// AddTrack returns the sink for the frames of a remote track with this codec. requestKeyFrame
// requests a key frame from its sender; it must not block, and nil waits for one. The error is a
// *media.FileError that names the formats which hold the codec.
func (r *Recorder) AddTrack(mime string, requestKeyFrame func()) (*Track, error) {
	mime = media.CanonicalMIME(mime)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.format.holds(mime) && !r.format.transcodes(mime) {
		return nil, media.WrapFileError(r.path, r.format.unsupportedCodec(mime))
	}
	if requestKeyFrame == nil {
		requestKeyFrame = func() {}
	}
	t := &Track{recorder: r, kind: media.KindOf(mime), codec: mime, requestKeyFrame: requestKeyFrame}
	r.tracks = append(r.tracks, t)
	return t, nil
}

// Close finishes the file. It returns the first error, also if a Track returned it before, ErrEmpty
// if nothing was recorded, or an error that names the received tracks that are in no file. A second
// call does nothing.
func (r *Recorder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	for _, t := range r.tracks {
		if !t.closed && r.err == nil {
			r.note(t.flush())
		}
	}
	if r.err == nil && slices.ContainsFunc(r.tracks, func(t *Track) bool { return len(t.held) > 0 }) {
		r.note(r.beginSegment())
	}
	r.closed = true
	r.endSegment()
	if r.err == nil {
		r.err = r.missing()
	}
	return media.WrapFileError(r.path, r.err)
}

// missing returns the error for received tracks that are in no file.
func (r *Recorder) missing() error {
	var all []string
	for _, t := range r.tracks {
		if t.written || t.last.IsZero() {
			continue
		}
		text := fmt.Sprintf("%s %s", t.kind, media.CodecName(t.codec))
		if t.reason != nil {
			text += " (" + t.reason.Error() + ")"
		}
		all = append(all, text)
	}
	switch {
	case len(all) > 0:
		return fmt.Errorf("not recorded although received: %s", strings.Join(all, ", "))
	case len(r.paths) == 0:
		return ErrEmpty
	}
	return nil
}

// note keeps the first error, and returns err.
func (r *Recorder) note(err error) error {
	if r.err == nil {
		r.err = err
	}
	return err
}

// expected returns the number of tracks of a kind that the current file waits for.
func (r *Recorder) expected(kind webrtc.RTPCodecType, now time.Time) int {
	if !r.format.takes(kind) {
		return 0
	}
	n := 0
	if r.first && kind == webrtc.RTPCodecTypeAudio {
		n = r.options.Audio
	} else if r.first {
		n = r.options.Video
	}
	live := 0
	for _, t := range r.tracks {
		if t.kind == kind && t.isLive(now) {
			live++
		}
	}
	if n = max(n, live); r.format.single {
		n = min(n, 1)
	}
	return n
}

// create creates the file for these tracks and writes its header.
func (r *Recorder) create(tracks []media.OutputTrack) (media.Muxer, error) {
	if r.file == nil {
		if err := r.open(); err != nil {
			return nil, err
		}
	}
	for _, t := range r.tracks {
		t.absent = t.stream == nil
	}
	return r.format.newMuxer(r.file, tracks)
}

// open creates the file at r.path, or at the next path whose file does not exist.
func (r *Recorder) open() error {
	for range maxNames {
		opened, err := openFile(r.path, r.options.Overwrite)
		if errors.Is(err, fs.ErrExist) {
			r.path = r.options.Next()
			continue
		}
		if err != nil {
			return err
		}
		r.file = opened
		r.paths = append(r.paths, r.path)
		if r.options.OnFile != nil {
			r.options.OnFile(r.path)
		}
		return nil
	}
	return fmt.Errorf("%d files with names like this exist", maxNames)
}

// hasReader reports whether the current file can be written: a FIFO only once it is read.
func (r *Recorder) hasReader() bool { return r.file != nil || !isFIFO(r.path) }

// openStream opens a FIFO, which cannot wait for its header: frames are dropped until a process
// reads it. It reports whether frames can be written.
func (r *Recorder) openStream() (bool, error) {
	if r.hasReader() {
		return true, nil
	}
	err := r.open()
	if errors.Is(err, errNoReader) {
		for _, t := range r.tracks {
			t.reason = errNoReader
		}
		return false, nil
	}
	return err == nil, r.note(err)
}

// canBeginSegment reports whether the current file can be followed by another one: a FIFO cannot.
func (r *Recorder) canBeginSegment() bool { return r.file == nil || !r.file.fifo }

// attach makes t a stream of the current file, or of the next one. It reports false if neither is
// possible.
func (r *Recorder) attach(t *Track, f media.Frame) (bool, error) {
	for _, s := range r.writer.streams {
		ended := s.owner.hasEnded(f.Arrival)
		switch {
		case s.kind == t.kind && ended && s.mime == f.Codec && s.rotation == f.Rotation:
			s.owner.stream = nil
			s.owner, t.stream = t, s
			return true, nil
		case r.format.single && !ended:
			t.reason = fmt.Errorf("%s holds one track", r.format.extension)
			return false, nil
		}
	}
	if r.writer.out != nil || r.format.single && len(r.writer.streams) > 0 {
		if !r.canBeginSegment() {
			t.reason = errors.New("a FIFO holds the tracks of its start")
			return false, nil
		}
		if r.waitsForVideo(t, f) {
			t.hold(f)
			return false, nil
		}
		if err := r.beginSegment(); err != nil || t.stream != nil {
			return err == nil, err
		}
	}
	if len(r.writer.streams) == 0 {
		r.began = f.Arrival
	}
	t.stream = &stream{kind: t.kind, mime: f.Codec, rotation: f.Rotation, owner: t}
	r.writer.add(t.stream)
	return true, nil
}

// waitsForVideo reports whether the next file, which is to begin with t, waits for a key frame of
// video in the current one, so that nothing of it is lost.
func (r *Recorder) waitsForVideo(t *Track, f media.Frame) bool {
	if r.due.IsZero() {
		r.due = f.Arrival
	}
	return f.Arrival.Sub(r.due) <= segmentWait && t.heldBytes < maxPendingBytes && slices.ContainsFunc(r.writer.streams, func(s *stream) bool {
		return s.kind == webrtc.RTPCodecTypeVideo && !s.owner.hasEnded(f.Arrival)
	})
}

// isTooShort reports whether the current file is shorter than minSegment.
func (r *Recorder) isTooShort(f media.Frame) bool { return f.Arrival.Sub(r.began) < minSegment }

// shouldEndSegment reports whether the current file ends before f.
func (r *Recorder) shouldEndSegment(t *Track, f media.Frame) bool {
	long := r.options.SegmentTime > 0 && f.Arrival.Sub(r.began) >= r.options.SegmentTime
	large := r.options.SegmentBytes > 0 && r.file != nil && r.file.Size() >= r.options.SegmentBytes
	if !long && !large && r.due.IsZero() || !r.canBeginSegment() {
		return false
	}
	if r.due.IsZero() {
		r.due = f.Arrival
	}
	hasVideo := slices.ContainsFunc(r.writer.streams, func(s *stream) bool { return s.kind == webrtc.RTPCodecTypeVideo })
	switch {
	case !hasVideo, t.kind == webrtc.RTPCodecTypeVideo && t.canStart(f):
		return true
	case t.kind == webrtc.RTPCodecTypeVideo:
		t.requestKeyFrame()
	}
	return f.Arrival.Sub(r.due) > segmentWait
}

// beginSegment ends the current file. The next one begins with the held frames and the next frames
// of the tracks.
func (r *Recorder) beginSegment() error {
	if !r.canBeginSegment() {
		return r.note(errors.New("a FIFO holds the codecs of its start"))
	}
	if r.endSegment(); r.err != nil {
		return r.err
	}
	r.path = r.options.Next()
	r.writer = r.newWriter()
	r.first, r.due = false, time.Time{}
	for _, t := range r.tracks {
		if err := t.release(); err != nil {
			return err
		}
	}
	return nil
}

// endSegment completes the current file, and detaches the tracks from it.
func (r *Recorder) endSegment() {
	r.note(r.writer.finish())
	if r.file != nil {
		removed, err := r.file.Close()
		r.note(err)
		if removed {
			r.paths = r.paths[:len(r.paths)-1]
		}
		r.file = nil
	}
	for _, t := range r.tracks {
		t.stream = nil
	}
}
