package recorder

import (
	"errors"
	"slices"
	"time"

	"parley/media"

	"github.com/pion/webrtc/v4"
)

const (
	// reportWait is how long the start of a file waits for sender reports. Pion and browsers send
	// one in the first second.
	reportWait = 1500 * time.Millisecond
	// interleaveDelay is how long a frame waits for earlier frames of other tracks.
	interleaveDelay = time.Second
	// maxPendingBytes bounds the frames that wait.
	maxPendingBytes = 16 << 20
)

// interleaver puts the frames of all tracks of one file in order of time.
//
//	until all expected tracks have started:  frames ──> pending
//	from then on:                            frames ── timeline ──> pending, sorted ──> media.Muxer
type interleaver struct {
	// create opens the file and writes its header.
	create func(tracks []media.OutputTrack) (media.Muxer, error)
	// expected returns the number of tracks of a kind to wait for.
	expected func(kind webrtc.RTPCodecType, now time.Time) int
	// output returns the file that create has opened.
	output func() *file
	wait   time.Duration

	streams []*stream
	pending []pendingFrame
	bytes   int       // in pending
	start   time.Time // arrival of the first frame
	latest  time.Duration
	base    time.Duration // time of the first frame in the file
	out     media.Muxer   // nil until the header is written
	written []position    // of the latest frames, which may not be in the file yet
	failed  bool          // a write failed: the file is finished without further frames
}

// position is where a frame ends in the file.
type position struct {
	size int64
	at   time.Duration
}

// maxPositions is how many frames a file collects before it writes them, at most.
const maxPositions = 512

// stream is one track of the current file.
type stream struct {
	kind     webrtc.RTPCodecType
	mime     string
	rotation int
	owner    *Track // whose frames are written
	index    int    // in interleaver.streams
	time     timeline
}

// pendingFrame is a frame with memory of its own.
type pendingFrame struct {
	stream *stream
	owner  *Track
	frame  media.Frame
	at     time.Duration
}

// add adds a stream, before its first frame and before the header is written.
func (w *interleaver) add(s *stream) {
	s.index = len(w.streams)
	w.streams = append(w.streams, s)
}

// write takes the next frame of a stream.
func (w *interleaver) write(s *stream, f media.Frame) error {
	f.Data = slices.Clone(f.Data)
	if w.out == nil {
		if len(w.pending) == 0 {
			w.start = f.Arrival
		}
		w.bytes += len(f.Data)
		w.pending = append(w.pending, pendingFrame{stream: s, owner: s.owner, frame: f})
		if !w.ready(f.Arrival) {
			return nil
		}
		return w.begin(f.Arrival)
	}
	w.place(pendingFrame{stream: s, owner: s.owner, frame: f})
	if leader := w.leader(); s != leader && s.kind == webrtc.RTPCodecTypeVideo {
		s.time.slewTo(&leader.time)
	}
	return w.drain(w.interleaveLimit(f.Arrival))
}

// ready reports whether all expected tracks have started, or are no longer waited for. Time is that
// of arrivals.
func (w *interleaver) ready(now time.Time) bool {
	waited := now.Sub(w.start)
	if waited >= w.wait || w.bytes >= maxPendingBytes {
		return true
	}
	expected := 0
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		started := 0
		for _, s := range w.streams {
			if s.kind == kind {
				started++
			}
		}
		n := w.expected(kind, now)
		if started < n {
			return false
		}
		expected += max(n, started)
	}
	return expected == 1 || waited >= reportWait || !slices.ContainsFunc(w.streams, func(s *stream) bool { return !w.hasReport(s) })
}

// hasReport reports whether the capture time of any pending frame of a stream is known.
func (w *interleaver) hasReport(s *stream) bool {
	return slices.ContainsFunc(w.pending, func(p pendingFrame) bool {
		return p.stream == s && !p.frame.Captured.IsZero()
	})
}

// begin writes the header and gives all pending frames their time.
func (w *interleaver) begin(now time.Time) error {
	tracks := make([]media.OutputTrack, len(w.streams))
	for _, p := range w.pending {
		if t := &tracks[p.stream.index]; t.MIME == "" {
			*t = media.OutputTrack{MIME: p.stream.mime, First: p.frame}
		}
	}
	out, err := w.create(tracks)
	if err != nil {
		w.failed = true
		return err
	}
	w.out = out
	pending := w.pending
	w.pending, w.bytes = nil, 0
	for _, p := range pending {
		w.place(p)
	}
	for _, s := range w.streams {
		if s == w.leader() {
			continue
		}
		s.time.snapTo(&w.leader().time)
		s.time.at += s.time.shift
		w.move(s, s.time.shift, time.Time{})
	}
	w.base = w.pending[0].at
	return w.drain(w.interleaveLimit(now))
}

// leader returns the stream that the others are synchronized to: the first with audio, or the first
// of all.
func (w *interleaver) leader() *stream {
	for _, s := range w.streams {
		if s.kind == webrtc.RTPCodecTypeAudio {
			return s
		}
	}
	return w.streams[0]
}

// place gives a frame its time and inserts it into pending.
func (w *interleaver) place(p pendingFrame) {
	at, jump, from := p.stream.time.next(p.frame, w.start)
	if jump > 0 {
		w.move(p.stream, jump, from)
	}
	p.at = at
	w.insert(p)
	w.bytes += len(p.frame.Data)
}

// insert keeps pending sorted; frames arrive nearly so.
func (w *interleaver) insert(p pendingFrame) {
	i := len(w.pending)
	for i > 0 && w.pending[i-1].at > p.at {
		i--
	}
	w.pending = slices.Insert(w.pending, i, p)
	w.latest = max(w.latest, p.at)
}

// move adds d to the times of the pending frames of s that arrived since the moment from.
func (w *interleaver) move(s *stream, d time.Duration, from time.Time) {
	if d == 0 {
		return
	}
	pending := w.pending
	w.pending = make([]pendingFrame, 0, len(pending)+1)
	for _, p := range pending {
		if p.stream == s && !p.frame.Arrival.Before(from) {
			p.at += d
		}
		w.insert(p)
	}
}

// interleaveLimit returns the time up to which no stream brings a frame any more, or is waited for.
func (w *interleaver) interleaveLimit(now time.Time) time.Duration {
	if w.bytes >= maxPendingBytes {
		return w.latest
	}
	earliest := w.latest
	for _, s := range w.streams {
		if s.time.watching(now) {
			return w.base - 1
		}
		earliest = min(earliest, s.time.at)
	}
	return max(earliest, w.latest-interleaveDelay)
}

// drain writes the frames up to a time.
func (w *interleaver) drain(until time.Duration) error {
	n := 0
	for n < len(w.pending) && w.pending[n].at <= until {
		p := w.pending[n]
		n++
		w.bytes -= len(p.frame.Data)
		if err := w.out.WriteFrame(p.stream.index, p.frame, p.at-w.base); err != nil {
			w.failed = true
			return err
		}
		p.owner.written = true
		if len(w.written) == 2*maxPositions {
			w.written = slices.Delete(w.written, 0, maxPositions)
		}
		w.written = append(w.written, position{w.output().Size(), p.at - w.base})
	}
	w.pending = slices.Delete(w.pending, 0, n)
	return nil
}

// finish writes what is pending and completes the file. It does nothing if there are no frames.
func (w *interleaver) finish() error {
	switch {
	case w.out == nil && (w.failed || len(w.pending) == 0):
		return nil
	case w.failed:
		return w.out.Finish(w.end())
	case w.out == nil:
		if err := w.begin(w.pending[len(w.pending)-1].frame.Arrival); err != nil {
			return err
		}
	}
	if err := w.drain(w.latest); err != nil {
		return err
	}
	if err := w.output().flush(); err != nil {
		return errors.Join(err, w.out.Finish(w.end()))
	}
	end := time.Duration(0)
	for _, s := range w.streams {
		end = max(end, s.time.at+s.time.interval-w.base)
	}
	return w.out.Finish(end)
}

// end returns the time of the latest frame in the file after a failure.
func (w *interleaver) end() time.Duration {
	size := w.output().Size()
	for _, p := range slices.Backward(w.written) {
		if p.size <= size {
			return p.at
		}
	}
	return 0
}
