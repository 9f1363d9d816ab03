// Package mp4 reads and writes MP4 files (ISO 14496-12).
package mp4

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
)

// Limits of what a file can claim.
const (
	maxMoov         = 128 << 20 // size of the index in bytes; that of a day has about 100 MB
	maxMoof         = 16 << 20  // size of the index of a fragment in bytes
	maxTracks       = 64
	maxSamples      = 20 << 20 // in the sample tables of all tracks
	maxQueue        = 1 << 20  // samples of fragments in the queue of a track
	maxDescriptions = 1 << 10
	maxSeconds      = 1 << 31 // a time in seconds; the sum of three fits into a time.Duration
)

const (
	// lookAhead is the number of samples in fragments in which Select looks for B-frames, in a
	// number of fragments.
	lookAhead          = 50
	lookAheadFragments = 256
	// lookAheadPipe is the same for a pipe, where the samples that are read ahead add to the
	// latency.
	lookAheadPipe = 16
	// interleaveLimit is how far Next reads ahead for the next sample of another track, in seconds.
	interleaveLimit = 10
)

// demuxer reads the samples that the index of a file lists, and then those of fragments, each of
// which has an index of its own.
//
// It parses boxes itself: mp4ff v0.50.0 does not open a .mov file with metadata as ffmpeg writes
// it, and in go-mp4 v1.6.0 a fragment of 76 bytes that claims 2^28 samples takes more than a
// minute, an index of 10 hours 2 s and 180 MB.
type demuxer struct {
	file   io.ReaderAt
	size   int64 // unknownSize for a pipe
	tracks []*track
	offset int64         // of the next box that can be a fragment
	first  int64         // offset of the first mdat box, as long as the index has not been read
	ended  bool          // there is no other fragment
	start  time.Duration // of the first sample, on the timeline of the movie
	data   []byte
}

// NewDemuxer reads the index of an MP4 file. Tracks returns its video and audio tracks.
//
// A pipe is read from front to back. Next returns its samples by time as for a file, but does not
// wait for the next fragment while samples of this one are due. An error ends the track if more
// than 64 MB would have to be kept in memory.
//
// The times of samples are presentation times. They keep the offsets between tracks that the edit
// lists set. Time 0 is that of the first sample of all tracks that can be sent, whatever time the
// file has for it: a stream that was joined in the middle starts at once.
//
// If an edit list starts between two key frames, the video starts with the earlier one: the frames
// up to the start of the edit are needed for decoding, and a receiver displays what it decodes.
// They keep their distances, and the audio starts after them. Audio before the start of its edit is
// left out, and so is all that comes after the end of the last edit.
func NewDemuxer(in media.Input) (media.Demuxer, error) {
	d := &demuxer{file: in.ReaderAt, size: in.Size, first: unknownSize}
	if in.ReaderAt == nil {
		d.file, d.size = &stream{r: in.Reader, keep: d.keep}, unknownSize
	}
	moov, err := d.findMoov()
	if err != nil {
		return nil, err
	}
	samples := uint32(maxSamples)
	for kind, trak := range boxes(moov) {
		if kind != "trak" {
			continue
		}
		t := readTrack(trak, moov, samples, in.Warn)
		if t == nil {
			continue
		}
		if t.index = len(d.tracks); t.index == maxTracks {
			return nil, fmt.Errorf("the MP4 file has more than %d tracks", maxTracks)
		}
		samples -= t.table.remaining
		d.tracks = append(d.tracks, t)
	}
	if d.isPipe() && samples < maxSamples && find(moov, "mvex") == nil {
		d.offset = d.size // there are no fragments: all samples may be read before another box
	}
	return d, nil
}

// findMoov reads the index.
func (d *demuxer) findMoov() ([]byte, error) {
	for {
		h, err := readBoxHeader(d.file, d.offset, d.size)
		if errors.Is(err, io.EOF) {
			return nil, errors.New("there is no index (moov) in the MP4 file: it is cut off, or its writer was interrupted")
		}
		if err != nil {
			return nil, err
		}
		start := d.offset
		d.offset += h.size
		switch h.kind {
		case "moov":
			return h.readBox(d.file, start, d.size, maxMoov)
		case "mdat":
			d.first = min(d.first, start)
		case "moof":
			if d.isPipe() {
				return nil, errors.New("the MP4 stream has a fragment before its index (moov); send the init segment first")
			}
		}
	}
}

// isPipe reports whether the file can only be read from front to back.
func (d *demuxer) isPipe() bool { return d.size == unknownSize }

// keep returns the offset before which nothing is read any more.
func (d *demuxer) keep() int64 {
	offset := min(d.offset, d.first)
	for _, t := range d.tracks {
		switch table := t.table; {
		case !t.selected:
		case t.hasHead:
			offset = min(offset, t.head.offset)
		case table.remaining > 0:
			s, _ := table.next() // checked
			offset = min(offset, s.offset)
		case len(t.queue) > 0:
			offset = min(offset, t.queue[0].offset)
		}
	}
	return offset
}

// Tracks implements media.Demuxer.
func (d *demuxer) Tracks() []media.Track {
	var all []media.Track
	for _, t := range d.tracks {
		all = append(all, t.Track)
	}
	return all
}

// Select implements media.Demuxer.
func (d *demuxer) Select(tracks ...int) error {
	for _, t := range d.tracks {
		t.selected = t.Err == nil
	}
	d.first = unknownSize // keep has the samples
	if err := d.lookAhead(); err != nil {
		return err
	}
	started := false
	for i, t := range d.tracks {
		if t.table.remaining == 0 {
			t.queue = t.queue[t.startIndex(slices.Values(t.queue)):]
		}
		if !t.selected || !t.peek() {
			continue
		}
		t.selected = slices.Contains(tracks, i)
		start := media.TicksToDuration(t.time(t.head), t.timescale)
		if !t.selected {
			t.queue = nil
			start = max(start, 0) // what it needs for decoding is not sent
		}
		if !started || start < d.start {
			d.start, started = start, true
		}
	}
	for _, i := range tracks {
		if err := d.checkTrack(d.tracks[i]); err != nil {
			return err
		}
	}
	return nil
}

// lookAhead reads fragments until each track that can be sent has enough samples to see its first
// one and its order.
func (d *demuxer) lookAhead() error {
	for range lookAheadFragments {
		wanting := func(t *track) bool {
			return t.selected && t.table.remaining == 0 && (len(t.queue) < d.lookAheadOf(t) || t.lastPTS <= t.edits.mediaTime)
		}
		if d.ended || !slices.ContainsFunc(d.tracks, wanting) || d.isPipe() && slices.ContainsFunc(d.tracks, (*track).isFarAhead) {
			break
		}
		if err := d.fill(); err != nil {
			return err
		}
	}
	return nil
}

// lookAheadOf returns the number of samples in which Select looks for B-frames.
func (d *demuxer) lookAheadOf(t *track) int {
	if !d.isPipe() {
		return lookAhead
	}
	if avc := t.descriptions[0].avc; avc != nil {
		if sps, err := codec.ParseSPS(avc.SPS()); err != nil || sps.Reordered {
			return lookAheadPipe
		}
	}
	return 1
}

// isFarAhead reports whether the samples in the queue are over more than interleaveLimit.
func (t *track) isFarAhead() bool {
	n := len(t.queue)
	if n == 0 {
		return false
	}
	first := t.queue[0]
	if t.hasHead {
		first = t.head
	}
	return t.queue[n-1].dts-first.dts > interleaveLimit*int64(t.timescale)
}

// checkTrack returns the reason why a track cannot be sent, as far as it shows in its first
// samples.
func (d *demuxer) checkTrack(t *track) error {
	if t.reordered {
		return codec.ErrBFrames
	}
	if !t.video || !t.peek() {
		return nil
	}
	frame, err := d.read(t, t.head)
	if err != nil {
		return nil // Next returns it
	}
	return codec.CheckSendable(t.Codec.MimeType, frame)
}

// fill reads the next fragment.
func (d *demuxer) fill() error {
	err := d.readFragment()
	if errors.Is(err, io.EOF) {
		d.ended = true
		return nil
	}
	return err
}

// Next implements media.Demuxer. It returns the sample with the earliest time.
func (d *demuxer) Next() (media.Sample, error) {
	for {
		first, err := d.earliest()
		if err != nil {
			return media.Sample{}, err
		}
		if first == nil {
			return media.Sample{}, io.EOF
		}
		first.hasHead = false
		first.count++
		if first.head.size == 0 {
			continue
		}
		s, err := d.sample(first, first.head)
		if err != nil {
			return media.Sample{}, fmt.Errorf("frame %d: %w", first.count, err)
		}
		if len(s.Data) > 0 { // not only empty NAL units
			return s, nil
		}
	}
}

// earliest returns the selected track whose next sample has the earliest time, nil after the last
// sample.
func (d *demuxer) earliest() (first *track, err error) {
	for d.wantsFragment() {
		if err := d.fill(); err != nil {
			return nil, err
		}
	}
	var earliest time.Duration
	for _, t := range d.tracks {
		if !t.selected || !t.peek() {
			continue
		}
		if t.reordered {
			return nil, codec.ErrBFrames
		}
		if at := media.TicksToDuration(t.time(t.head), t.timescale); first == nil || at < earliest {
			first, earliest = t, at
		}
	}
	return first, nil
}

// wantsFragment reports whether a selected track has no next sample, and those of the others are
// not too far ahead. In a pipe, whose next fragment comes later, the track must be expected to have
// an earlier sample than the others.
func (d *demuxer) wantsFragment() bool {
	const never = time.Duration(math.MaxInt64)
	next, expected := never, never
	for _, t := range d.tracks {
		switch {
		case !t.selected:
		case !t.peek():
			end := sample{pts: t.lastPTS + t.nextDTS - t.lastDTS}
			expected = min(expected, media.TicksToDuration(t.time(end), t.timescale))
		case t.isFarAhead():
			return false
		default:
			next = min(next, media.TicksToDuration(t.time(t.head), t.timescale))
		}
	}
	return expected < never && !d.ended && (!d.isPipe() || expected < next)
}

// sample returns a sample with its data and its time.
func (d *demuxer) sample(t *track, s sample) (media.Sample, error) {
	start := media.DurationToTicks(d.start.Abs(), t.timescale)
	if d.start < 0 {
		start = -start // pre-roll
	}
	at := max(t.time(s)-start, 0)
	if at/int64(t.timescale) > maxSeconds {
		return media.Sample{}, errors.New("its time is out of range")
	}
	begin, end := t.toClockRate(at), t.toClockRate(at+s.duration)
	if begin > t.lastTime+media.MaxSampleGap*uint64(t.Codec.ClockRate) {
		return media.Sample{}, errors.New("time jumps by more than an hour")
	}
	data, err := d.read(t, s)
	if err != nil {
		return media.Sample{}, err
	}
	t.lastTime = max(t.lastTime, begin)
	out := media.Sample{Track: t.index, Data: data, Time: t.lastTime, Duration: max(1, end-begin)}
	if t.Codec.MimeType == webrtc.MimeTypeOpus {
		if out.Duration = uint64(codec.OpusPacketSamples(data)); out.Duration == 0 { //nolint:gosec // at most 5760
			return media.Sample{}, errors.New("invalid Opus packet")
		}
	}
	return out, nil
}

// toClockRate converts a time to units of the clock rate of the codec.
func (t *track) toClockRate(at int64) uint64 {
	return uint64(media.DurationToTicks(media.TicksToDuration(at, t.timescale), t.Codec.ClockRate)) //nolint:gosec // not negative
}

// read returns the data of a sample, valid until the next call.
func (d *demuxer) read(t *track, s sample) ([]byte, error) {
	if err := t.checkDescription(s.description); err != nil {
		return nil, err
	}
	if s.size > media.MaxFrameSize || s.offset < 0 {
		return nil, fmt.Errorf("its size is %d bytes at offset %d; the file is broken", s.size, s.offset)
	}
	if int64(s.size) > d.size-s.offset {
		return nil, media.ErrTruncated
	}
	d.data = slices.Grow(d.data[:0], int(s.size))[:s.size]
	if n, err := d.file.ReadAt(d.data, s.offset); errors.Is(err, io.EOF) && n < len(d.data) {
		return nil, media.ErrTruncated
	} else if n < len(d.data) {
		return nil, readError("it", err)
	}
	if avc := t.descriptions[s.description-1].avc; avc != nil {
		return avc.ToAnnexB(d.data)
	}
	return d.data, nil
}
