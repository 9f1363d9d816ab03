package source

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"parley/media"
	"parley/media/container"
	"parley/media/localtrack"

	"github.com/pion/webrtc/v4"
)

const (
	// maxFileLag is how far a file may fall behind its schedule before the schedule moves. Below,
	// late samples go out at once; above (a suspended process, a stopped machine) that would be a
	// burst.
	maxFileLag = time.Second

	// maxPipeLag is the same for what a pipe or a program delivers with timestamps: programs
	// deliver in bursts.
	maxPipeLag = 200 * time.Millisecond

	// maxStartDelay is how long a player waits for all of its tracks to run.
	maxStartDelay = time.Second

	// Limits of what is read ahead to send the tracks of a file in order of time.
	maxQueueBytes   = 16 << 20
	maxQueueSamples = 4096
)

// player sends the tracks of one stream with one pacer and one loop base. Its goroutine runs from
// the first Run of a track until the stream ends or no track runs any more.
type player struct {
	name    string
	in      input
	loop    bool
	options demuxOptions
	demuxer media.Demuxer
	queue   []queued // read ahead, in the order of the stream
	bytes   int      // in queue
	eof     bool
	tracks  []*playerTrack

	mu      sync.Mutex // guards what follows
	pending int        // tracks that neither ran nor were closed
	running int        // tracks in Run
	open    int        // tracks that are not closed
	ready   chan struct{}
	done    chan struct{}
	cancel  context.CancelFunc
	err     error // of the stream, set before done is closed
}

// playerTrack is one track of a player. It implements Source.
type playerTrack struct {
	*localtrack.Track
	player  *player
	index   int  // in the demuxer
	untimed bool // timestamps are nominal; see pacer.admit

	close sync.Once
	err   error // of Close
	ran   bool  // guarded by player.mu
}

// queued is a sample with memory of its own.
type queued struct {
	media.Sample
	track *playerTrack
}

// demuxOptions are the options with which a stream is opened, also when it starts again.
type demuxOptions struct {
	frameRate float64 // overrides the rate of a stream without timestamps
	bitrate   int     // of raw audio, which is encoded
	warn      func(text string)
}

// newDemuxer returns a demuxer for the stream of an input. Raw audio is encoded.
func newDemuxer(r *bufio.Reader, in input, o demuxOptions) (media.Demuxer, error) {
	m := media.Input{Reader: r, FrameRate: o.frameRate, Warn: o.warn}
	m.ReaderAt, m.Size = in.readerAt()
	if format, _ := container.Detect(r); format == container.WAV {
		return newRawAudio(m, o.bitrate)
	}
	return container.Open(m)
}

// newPlayer returns a player for the first tracks of some kinds, in the order of kinds.
func newPlayer(name string, in input, r *bufio.Reader, kinds []webrtc.RTPCodecType, loop bool, streamID string, log *slog.Logger,
	o demuxOptions) (*player, error) {
	o.warn = func(text string) { log.Warn(text, "file", name) }
	demuxer, err := newDemuxer(r, in, o)
	if err != nil {
		return nil, err
	}
	p := &player{name: name, in: in, loop: loop, options: o, demuxer: demuxer}
	for _, kind := range kinds {
		i, err := container.FirstTrack(demuxer.Tracks(), kind)
		if err != nil {
			return nil, err
		}
		track := demuxer.Tracks()[i]
		t := &playerTrack{Track: localtrack.New(track.Codec, streamID, log), player: p, index: i, untimed: track.Untimed}
		t.SetRotation(track.Rotation)
		p.tracks = append(p.tracks, t)
	}
	p.pending, p.open = len(p.tracks), len(p.tracks)
	return p, demuxer.Select(p.indexes()...)
}

func (p *player) indexes() []int {
	var all []int
	for _, t := range p.tracks {
		all = append(all, t.index)
	}
	return all
}

// Run implements Source.
func (t *playerTrack) Run(ctx context.Context) error {
	p := t.player
	done := p.join(t)
	select {
	case <-done:
	case <-ctx.Done():
	}
	p.leave(done)
	if ctx.Err() != nil {
		return nil
	}
	return p.err
}

// join counts a track that runs, and starts the player with the first one.
func (p *player) join(t *playerTrack) (done <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done == nil {
		ctx, cancel := context.WithCancel(context.Background())
		p.ready, p.done, p.cancel = make(chan struct{}), make(chan struct{}), cancel
		go p.run(ctx)
	}
	p.running++
	p.settle(t)
	return p.done
}

// leave ends the player after its last track, and waits for its goroutine.
func (p *player) leave(done <-chan struct{}) {
	p.mu.Lock()
	p.running--
	last := p.running == 0 && p.pending == 0
	if last {
		p.cancel()
	}
	p.mu.Unlock()
	if last {
		<-done
	}
}

// settle notes that a track runs or will never run. The caller holds mu.
func (p *player) settle(t *playerTrack) {
	if t.ran {
		return
	}
	t.ran = true
	p.pending--
	if p.pending == 0 && p.ready != nil {
		close(p.ready)
	}
}

// Close implements Source. The input is closed with the last track.
func (t *playerTrack) Close() error {
	t.close.Do(func() {
		p := t.player
		p.mu.Lock()
		p.settle(t)
		p.open--
		last, done := p.open == 0, p.done
		if p.cancel != nil && p.running == 0 && p.pending == 0 {
			p.cancel()
		}
		p.mu.Unlock()
		if last {
			if done != nil {
				<-done
			}
			t.err = media.WrapFileError(p.name, p.in.Close())
		}
	})
	return t.err
}

// run is the goroutine of the player.
func (p *player) run(ctx context.Context) {
	defer close(p.done)
	defer p.cancel()
	stop := context.AfterFunc(ctx, p.in.cancel)
	defer stop()
	err := p.play(ctx)
	if ctx.Err() != nil {
		return
	}
	if err == nil || media.IsTruncated(err) {
		if cause := p.in.exitErr(); cause != nil {
			err = cause
		}
	}
	p.err = media.WrapFileError(p.name, err)
}

// play sends the samples at their time until the stream ends, or for ever if it loops. All tracks
// start again together, after the end of the longest.
func (p *player) play(ctx context.Context) error {
	select {
	case <-p.ready:
	case <-time.After(maxStartDelay):
	case <-ctx.Done():
		return nil
	}
	pace := newPacer()
	defer pace.stop()
	var base, end time.Duration // start and end of this round, in media time
	var shift time.Duration     // by which the schedule has moved
	var interval time.Duration  // since the latest sample of a stream without timestamps
	for {
		s, err := p.next()
		if errors.Is(err, io.EOF) {
			if !p.loop || end == base {
				return nil
			}
			base = end
			if err = p.rewind(); err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		clock := s.track.Capability().ClockRate
		end = max(end, base+media.TicksToDuration(int64(s.Time+s.Duration), clock)) //nolint:gosec // demuxers bound it
		schedule := func() (ticks int64, due time.Duration) {
			ticks = media.DurationToTicks(base+shift, clock) + int64(s.Time) //nolint:gosec // demuxers bound it
			return ticks, media.TicksToDuration(ticks, clock)
		}
		if s.track.untimed {
			at, ok := pace.admit(ctx, interval)
			if !ok {
				return nil
			}
			interval = media.TicksToDuration(int64(s.Duration), clock)      //nolint:gosec // demuxers bound it
			s.track.Write(s.Data, uint64(media.DurationToTicks(at, clock))) //nolint:gosec // not negative
			continue
		}
		ticks, due := schedule()
		if late := pace.elapsed() - due; late > p.maxLag() {
			shift += late
			ticks, due = schedule()
		}
		if !pace.wait(ctx, due) {
			return nil
		}
		s.track.Write(s.Data, uint64(ticks)) //nolint:gosec // not negative
	}
}

// maxLag returns how late a sample may be before the schedule moves.
func (p *player) maxLag() time.Duration {
	if seekable, _ := p.in.readerAt(); seekable != nil {
		return maxFileLag
	}
	return maxPipeLag
}

// next returns the sample that is due next. Files are read ahead until each track has a sample,
// because a file may store its tracks apart; what a pipe delivers is sent in its order.
func (p *player) next() (queued, error) {
	seekable, _ := p.in.readerAt()
	if seekable == nil || len(p.tracks) == 1 {
		return p.read()
	}
	for !p.eof && !p.readAhead() {
		q, err := p.read()
		if errors.Is(err, io.EOF) {
			p.eof = true
			break
		}
		if err != nil {
			return queued{}, err
		}
		q.Data = slices.Clone(q.Data)
		p.queue, p.bytes = append(p.queue, q), p.bytes+len(q.Data)
	}
	if len(p.queue) == 0 {
		return queued{}, io.EOF
	}
	first := 0
	for i := range p.queue {
		if p.queue[i].time() < p.queue[first].time() {
			first = i
		}
	}
	q := p.queue[first]
	p.queue, p.bytes = slices.Delete(p.queue, first, first+1), p.bytes-len(q.Data)
	return q, nil
}

// readAhead reports whether enough is read ahead: a sample of each track, or all that may be.
func (p *player) readAhead() bool {
	if p.bytes >= maxQueueBytes || len(p.queue) >= maxQueueSamples {
		return true
	}
	for _, t := range p.tracks {
		if !slices.ContainsFunc(p.queue, func(q queued) bool { return q.track == t }) {
			return false
		}
	}
	return true
}

func (q queued) time() time.Duration {
	return media.TicksToDuration(int64(q.Time), q.track.Capability().ClockRate) //nolint:gosec // demuxers bound it
}

// read returns the next sample of the stream.
func (p *player) read() (queued, error) {
	s, err := p.demuxer.Next()
	if err != nil {
		return queued{}, err
	}
	for _, t := range p.tracks {
		if t.index == s.Track {
			return queued{Sample: s, track: t}, nil
		}
	}
	return queued{}, fmt.Errorf("the demuxer returned a sample of track %d, which is not selected", s.Track)
}

// rewind starts the stream again. A program that failed is not run again.
func (p *player) rewind() error {
	if err := p.in.exitErr(); err != nil {
		return err
	}
	if err := p.in.rewind(); err != nil {
		return err
	}
	quiet := p.options
	quiet.warn = func(string) {}
	demuxer, err := newDemuxer(bufio.NewReaderSize(p.in, readBufferSize), p.in, quiet)
	if err != nil {
		return err
	}
	for _, t := range p.tracks {
		all := demuxer.Tracks()
		if t.index >= len(all) || all[t.index].Codec.MimeType != t.Codec() {
			return fmt.Errorf("the stream started again without its %s track in %s", t.Kind(), media.CodecName(t.Codec()))
		}
	}
	p.demuxer, p.eof = demuxer, false
	return demuxer.Select(p.indexes()...)
}
