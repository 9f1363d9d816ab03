package recorder

import (
	"time"

	"parley/media"

	"github.com/pion/webrtc/v4"
)

// splitPatience is how long a file that should end waits for a key frame, before sound alone decides.
const splitPatience = 10 * time.Second

// split is when the file of a Recorder began, and since when it should have ended.
type split struct {
	began time.Time
	due   time.Time // zero until then
}

// mayEnd tells if the file ends before f.
func (r *Recorder) mayEnd(t *recordTrack, f media.Frame) bool {
	if r.options.Next == nil || r.options.SplitTime <= 0 && r.options.SplitBytes <= 0 {
		return false
	}
	if r.split.began.IsZero() {
		r.split.began = f.Arrival
		return false
	}
	long := r.options.SplitTime > 0 && f.Arrival.Sub(r.split.began) >= r.options.SplitTime
	large := r.options.SplitBytes > 0 && r.file.size >= r.options.SplitBytes
	if !long && !large {
		return false
	}
	if r.split.due.IsZero() {
		r.split.due = f.Arrival
	}
	if r.tracks[webrtc.RTPCodecTypeVideo] == nil {
		return true
	}
	if t.kind == webrtc.RTPCodecTypeVideo {
		if f.Key {
			return true
		}
		r.askKey()
	}
	return f.Arrival.Sub(r.split.due) > splitPatience
}

// begin ends the file and begins the next one, with the same tracks, of which t has the first frame, and its codec.
func (r *Recorder) begin(t *recordTrack, f media.Frame) error {
	r.note(r.writer.finish())
	r.note(r.file.Close())
	r.file = nil
	if r.err == nil {
		r.err = r.create(r.options.Next())
	}
	if r.err != nil {
		return media.WrapFileError(r.path(), r.err)
	}
	t.mime = f.Codec
	for _, other := range r.tracks {
		other.time, other.sized = timeline{}, false
		other.waitsKey = other != t && other.kind == webrtc.RTPCodecTypeVideo
		r.writer.add(other)
	}
	r.split = split{began: f.Arrival}
	return nil
}
