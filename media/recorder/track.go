package recorder

import (
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
)

const (
	// silenceTimeout is how long a track sends nothing before another one takes its place in the
	// file.
	silenceTimeout = time.Second
	// liveTimeout is how long a track sends nothing before the next file begins without it.
	liveTimeout = 5 * time.Second
)

// errNoKeyFrame is the reason why a video track is not recorded that never had a key frame.
var errNoKeyFrame = errors.New("no key frame arrived")

// Track is the sink for the frames of one remote track.
type Track struct {
	recorder        *Recorder
	kind            webrtc.RTPCodecType
	requestKeyFrame func()
	muted           atomic.Bool // by the peer

	// What follows is guarded by Recorder.mu.
	codec      string // of the latest frame
	transcoder *transcoder
	stream     *stream       // in the current file, nil if it is in none
	held       []media.Frame // that wait for the next file
	heldBytes  int
	last       time.Time // arrival of the latest frame
	waitsKey   bool      // nothing can be decoded until the next key frame
	absent     bool      // the current file began without waiting for this track
	written    bool      // a frame is in a file
	closed     bool
	reason     error // why the track is not recorded
}

// WriteFrame implements media.FrameSink. The error is a *media.FileError.
func (t *Track) WriteFrame(f media.Frame) error {
	r := t.recorder
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed || t.closed:
		return nil // the track may end after the recording
	case r.err != nil:
		return media.WrapFileError(r.path, r.err)
	}
	t.last, t.absent, t.codec = f.Arrival, false, f.Codec
	err := t.convert(f)
	return media.WrapFileError(r.path, err)
}

// Close reports that no more frames follow. The next track of the kind takes the place of this one
// in the file.
func (t *Track) Close() {
	r := t.recorder
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed && !t.closed {
		r.note(t.flush())
		t.closed = true
	}
}

// SetMuted reports that the peer mutes or unmutes the track. While it is muted, another track of
// the kind takes its place in the file, and files begin without it.
func (t *Track) SetMuted(muted bool) { t.muted.Store(muted) }

// convert writes a frame, as Opus if the container does not hold G.711.
func (t *Track) convert(f media.Frame) (err error) {
	if !t.recorder.format.transcodes(f.Codec) {
		if err = t.flush(); err != nil {
			return err
		}
		return t.write(f)
	}
	if t.transcoder == nil {
		if t.transcoder, err = newTranscoder(); err != nil {
			return err
		}
	}
	return t.transcoder.add(f, t.write)
}

// flush writes the samples that wait in the transcoder.
func (t *Track) flush() error {
	if t.transcoder == nil {
		return nil
	}
	return t.transcoder.flush(t.write)
}

// write writes a frame to the current file, or to the next one if it does not fit there.
func (t *Track) write(f media.Frame) error {
	r := t.recorder
	if !r.format.holds(f.Codec) {
		t.reason = r.format.unsupportedCodec(f.Codec)
		return t.reason
	}
	if !t.isDecodable(f) {
		return nil
	}
	if ok, err := r.openStream(); !ok {
		return err
	}
	changed := t.stream != nil && f.Codec != t.stream.mime
	if changed && r.isTooShort(f) {
		t.waitsKey = true
		t.requestKeyFrame()
		return nil
	}
	if changed || t.stream != nil && (r.shouldEndSegment(t, f) || t.rotationChanged(f)) {
		if err := r.beginSegment(); err != nil {
			return err
		}
		if !t.isDecodable(f) {
			return nil
		}
	}
	if t.stream == nil {
		if ok, err := r.attach(t, f); !ok {
			return err
		}
	}
	return r.note(r.writer.write(t.stream, f))
}

// hold keeps a frame for the next file.
func (t *Track) hold(f media.Frame) {
	f.Data = slices.Clone(f.Data)
	t.held = append(t.held, f)
	t.heldBytes += len(f.Data)
}

// release writes the held frames to the current file.
func (t *Track) release() error {
	held := t.held
	t.held, t.heldBytes = nil, 0
	for _, f := range held {
		if err := t.write(f); err != nil {
			return err
		}
	}
	return nil
}

// isDecodable reports whether a frame can be decoded from what is in the file.
func (t *Track) isDecodable(f media.Frame) bool {
	if t.kind != webrtc.RTPCodecTypeVideo {
		return true
	}
	if t.stream != nil && f.Codec == t.stream.mime || len(t.held) > 0 && f.Codec == t.held[0].Codec {
		t.waitsKey = (t.waitsKey || f.Gap) && !f.Key
		return !t.waitsKey && !isParameterSets(f)
	}
	if t.waitsKey = !t.canStart(f); t.waitsKey && t.recorder.hasReader() {
		if t.reason == nil {
			t.reason = errNoKeyFrame
		}
		t.requestKeyFrame()
	}
	return !t.waitsKey
}

// canStart reports whether a file can start with a frame of the video.
func (t *Track) canStart(f media.Frame) bool {
	return f.Key && (f.Width > 0 || !t.recorder.format.needsSize)
}

// isParameterSets reports whether a frame of H.264 has parameter sets and no slice.
func isParameterSets(f media.Frame) bool {
	if f.Codec != webrtc.MimeTypeH264 || f.Key {
		return false
	}
	for nal := range codec.NALUnits(f.Data) {
		if kind := codec.NALType(nal); kind >= codec.NALSlice && kind <= codec.NALIDR {
			return false
		}
	}
	return true
}

// rotationChanged reports whether the next file begins because the orientation of the video
// changed.
func (t *Track) rotationChanged(f media.Frame) bool {
	if f.Rotation == t.stream.rotation || !t.recorder.canBeginSegment() || t.recorder.isTooShort(f) {
		return false
	}
	if !t.canStart(f) {
		t.requestKeyFrame()
		return false
	}
	return true
}

// isLive reports whether the next file waits for this track.
func (t *Track) isLive(now time.Time) bool {
	return !t.closed && !t.muted.Load() && !t.absent && (t.last.IsZero() || now.Sub(t.last) < liveTimeout)
}

// hasEnded reports whether another track takes the place of this one in the file.
func (t *Track) hasEnded(now time.Time) bool {
	return t.closed || t.muted.Load() || now.Sub(t.last) > silenceTimeout
}
