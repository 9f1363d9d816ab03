package recorder

import (
	"log/slog"
	"slices"
	"time"

	"parley/media"
	"parley/media/container/matroska"
	"parley/media/container/mp4"

	"github.com/pion/webrtc/v4"
)

const (
	muxReportWait = 1500 * time.Millisecond // for the sender's reports; pion and browsers send one in the first second
	muxHold       = time.Second             // for frames of another track that come before, in the file
	muxHoldBytes  = 16 << 20
)

// muxer puts frames of several tracks in order of time and writes them to a WebM or MP4 file.
//
//	until all tracks are known:  frames ──> pending
//	from then on:                frames ── timeline ──> pending, sorted ──> media.Muxer
type muxer struct {
	file   *outFile
	create newMuxerFunc
	sized  bool // video begins with a frame whose size is known
	wait   time.Duration
	log    *slog.Logger

	expected []webrtc.RTPCodecType
	tracks   []*recordTrack
	pending  []pendingFrame
	bytes    int // in pending
	start    time.Time
	latest   time.Duration        // of what has been pushed
	base     time.Duration        // time of the first frame
	out      media.Muxer          // nil until it has begun
	index    map[*recordTrack]int // of the tracks in out
	refused  bool
	written  time.Duration // time of the latest frame in the file
	failed   bool          // the disk is full: no more frames, but what is there is finished
}

// newMuxerFunc creates the muxer of a container.
type newMuxerFunc func(out media.Output, tracks []media.OutputTrack) (media.Muxer, error)

// pendingFrame is a frame with memory of its own.
type pendingFrame struct {
	track *recordTrack
	frame media.Frame
	at    time.Duration
}

// singleTrack writes a file of one track, which begins with its first frame.
type singleTrack struct {
	file   *outFile
	create newMuxerFunc
	out    media.Muxer // nil before the first frame
	track  *recordTrack
	start  time.Time
}

// newSingleTrack returns the constructor of a frameWriter for a container of one track.
func newSingleTrack(create newMuxerFunc) func(*outFile, Options) frameWriter {
	return func(file *outFile, _ Options) frameWriter { return &singleTrack{file: file, create: create} }
}

func (w *singleTrack) add(t *recordTrack) { w.track = t }

func (w *singleTrack) write(t *recordTrack, f media.Frame) error {
	if w.out == nil {
		out, err := w.create(w.file, []media.OutputTrack{{MIME: t.mime, First: f}})
		if err != nil {
			return err
		}
		w.out, w.start = out, f.Arrival
	}
	return w.out.WriteFrame(0, f, t.time.next(f, w.start))
}

func (w *singleTrack) finish() error {
	if w.out == nil {
		return nil
	}
	return w.out.Finish(w.track.time.at + w.track.time.interval)
}

func newWebM(file *outFile, o Options) frameWriter {
	return newMuxer(file, matroska.NewMuxer, o)
}

func newMP4(file *outFile, o Options) frameWriter {
	m := newMuxer(file, mp4.NewMuxer, o)
	m.sized = true
	return m
}

func newMuxer(file *outFile, create newMuxerFunc, o Options) *muxer {
	w := &muxer{file: file, create: create, wait: o.Wait, log: o.Logger}
	if o.Audio {
		w.expect(webrtc.RTPCodecTypeAudio)
	}
	if o.Video {
		w.expect(webrtc.RTPCodecTypeVideo)
	}
	return w
}

func (w *muxer) expect(kind webrtc.RTPCodecType) {
	if !slices.Contains(w.expected, kind) {
		w.expected = append(w.expected, kind)
	}
}

func (w *muxer) add(t *recordTrack) {
	w.expect(t.kind)
	w.tracks = append(w.tracks, t)
}

func (w *muxer) write(t *recordTrack, f media.Frame) error {
	if w.out != nil && !w.has(t) {
		if !w.refused {
			w.refused = true
			w.log.Warn("the recording began without this track, as it came too late", "kind", t.kind.String())
		}
		return nil
	}
	if w.sized && t.kind == webrtc.RTPCodecTypeVideo && !t.sized {
		if f.Width == 0 {
			return nil // without its size, or the parameter sets of H.264, a player has no use for it
		}
		t.sized = true
	}
	f.Data = slices.Clone(f.Data)
	w.bytes += len(f.Data)
	p := pendingFrame{track: t, frame: f}
	if w.out == nil {
		if len(w.pending) == 0 {
			w.start = f.Arrival
		}
		w.pending = append(w.pending, p)
		if !w.ready(f.Arrival) {
			return nil
		}
		return w.begin()
	}
	p.at = t.time.next(f, w.start)
	if t.kind == webrtc.RTPCodecTypeVideo {
		w.align()
	}
	w.insert(p)
	return w.drain(w.horizon())
}

// ready tells whether all tracks that are expected have come, or cannot be waited for any longer. Time is that of
// arrivals.
func (w *muxer) ready(now time.Time) bool {
	waited := now.Sub(w.start)
	if waited >= w.wait || w.bytes >= muxHoldBytes {
		return true
	}
	timed := true
	for _, kind := range w.expected {
		came := false
		for _, p := range w.pending {
			if p.track.kind == kind {
				came = true
				timed = timed && (len(w.expected) == 1 || !p.frame.Captured.IsZero() || w.hasReport(p.track))
				break
			}
		}
		if !came {
			return false
		}
	}
	return timed || waited >= muxReportWait
}

// hasReport tells whether any pending frame of a track knows when it was captured.
func (w *muxer) hasReport(t *recordTrack) bool {
	return slices.ContainsFunc(w.pending, func(p pendingFrame) bool {
		return p.track == t && !p.frame.Captured.IsZero()
	})
}

// begin writes the start of the file and decides on the time of all that is pending.
func (w *muxer) begin() error {
	var tracks []*recordTrack
	first := make(map[*recordTrack]media.Frame)
	pending := w.pending
	w.pending, w.bytes = nil, 0
	for i, p := range pending {
		if _, ok := first[p.track]; !ok {
			first[p.track] = p.frame
			tracks = append(tracks, p.track)
		}
		pending[i].at = p.track.time.next(p.frame, w.start)
	}
	leader := w.find(webrtc.RTPCodecTypeAudio)
	for _, t := range tracks {
		if leader == nil || t == leader {
			continue
		}
		t.time.jump(&leader.time)
		t.time.at += t.time.shift
		for i := range pending {
			if pending[i].track == t {
				pending[i].at += t.time.shift
			}
		}
	}
	for _, p := range pending {
		w.insert(p)
	}
	w.base = w.pending[0].at
	w.index = make(map[*recordTrack]int)
	var outputs []media.OutputTrack
	for i, t := range tracks {
		w.index[t] = i
		outputs = append(outputs, media.OutputTrack{MIME: t.mime, First: first[t]})
	}
	out, err := w.create(w.file, outputs)
	if err != nil {
		return err
	}
	w.out = out
	return w.drain(w.horizon())
}

// has reports whether a track is in the file.
func (w *muxer) has(t *recordTrack) bool {
	_, ok := w.index[t]
	return ok
}

func (w *muxer) find(kind webrtc.RTPCodecType) *recordTrack {
	for _, t := range w.tracks {
		if t.kind == kind {
			return t
		}
	}
	return nil
}

// align moves video towards audio by what the sender's reports say.
func (w *muxer) align() {
	audio, video := w.find(webrtc.RTPCodecTypeAudio), w.find(webrtc.RTPCodecTypeVideo)
	if audio != nil && video != nil {
		video.time.follow(&audio.time)
	}
}

// insert keeps pending sorted; frames come nearly so.
func (w *muxer) insert(p pendingFrame) {
	i := len(w.pending)
	for i > 0 && w.pending[i-1].at > p.at {
		i--
	}
	w.pending = slices.Insert(w.pending, i, p)
	w.bytes += len(p.frame.Data)
	w.latest = max(w.latest, p.at)
}

// horizon is the time up to which no track will bring a frame any more, or not be waited for.
func (w *muxer) horizon() time.Duration {
	all := w.latest
	for _, t := range w.tracks {
		if w.has(t) {
			all = min(all, t.time.at)
		}
	}
	if w.bytes >= muxHoldBytes {
		return w.latest
	}
	return max(all, w.latest-muxHold)
}

// drain writes what is due.
func (w *muxer) drain(until time.Duration) error {
	n := 0
	for n < len(w.pending) && w.pending[n].at <= until {
		p := w.pending[n]
		n++
		w.bytes -= len(p.frame.Data)
		if err := w.out.WriteFrame(w.index[p.track], p.frame, p.at-w.base); err != nil {
			w.failed = true
			return err
		}
		w.written = p.at - w.base
	}
	w.pending = slices.Delete(w.pending, 0, n)
	return nil
}

func (w *muxer) finish() error {
	if w.failed {
		return w.out.Finish(w.written)
	}
	if w.out == nil {
		if len(w.pending) == 0 {
			return nil
		}
		if err := w.begin(); err != nil {
			return err
		}
	}
	if err := w.drain(w.latest); err != nil {
		return err
	}
	end := time.Duration(0)
	for _, t := range w.tracks {
		if w.has(t) {
			end = max(end, t.time.at+t.time.interval-w.base)
		}
	}
	return w.out.Finish(end)
}
