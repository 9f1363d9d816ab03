package mp4

import (
	"errors"
	"fmt"
	"io"

	"parley/media"
	"parley/media/codec"
)

// track is what the index says of a track.
type track struct {
	id         uint32
	timescale  uint32
	entry      []byte // the sample description, its entries
	stbl       []byte
	startDelay uint64 // time before the first sample is shown, by an empty edit
	mediaTime  uint64 // time in the samples that is not shown, by the first edit

	// Of fragments, where they do not say it themselves (ISO 14496-12 section 8.8.3).
	duration, size uint32
}

func readTrack(trak, moov []byte) (t track, err error) {
	tkhd := boxReader{data: find(trak, "tkhd")}
	version, _ := tkhd.full()
	tkhd.wide(version)
	tkhd.wide(version)
	t.id = tkhd.u32()
	mdhd := boxReader{data: find(trak, "mdia", "mdhd")}
	version, _ = mdhd.full()
	mdhd.wide(version)
	mdhd.wide(version)
	t.timescale = mdhd.u32()
	t.stbl = find(trak, "mdia", "minf", "stbl")
	stsd := boxReader{data: find(t.stbl, "stsd")}
	stsd.take(8)
	t.entry = stsd.data
	if tkhd.short || mdhd.short || stsd.short {
		return t, errBoxShort
	}
	if t.timescale == 0 {
		return t, errors.New("the MP4 file has a timescale of 0")
	}
	mvhd := boxReader{data: find(moov, "mvhd")}
	version, _ = mvhd.full()
	mvhd.wide(version)
	mvhd.wide(version)
	t.readEdits(find(trak, "edts", "elst"), mvhd.u32())
	t.readDefaults(find(moov, "mvex"))
	return t, nil
}

// readEdits takes the first edits of a list (ISO 14496-12 section 8.6.6): empty ones, and the start of the one after.
func (t *track) readEdits(elst []byte, movieScale uint32) {
	r := boxReader{data: elst}
	version, _ := r.full()
	for count := r.u32(); count > 0 && !r.short; count-- {
		duration, start := r.wide(version), r.wide(version)
		r.take(4)
		if version == 0 {
			start = uint64(int64(int32(uint32(start)))) //nolint:gosec // it is signed
		}
		if int64(start) >= 0 { //nolint:gosec // it is signed
			if !r.short && start < 1<<40 {
				t.mediaTime = start
			}
			return
		}
		if movieScale > 0 && duration < 1<<40 {
			t.startDelay += duration * uint64(t.timescale) / uint64(movieScale)
		}
	}
}

func (t *track) readDefaults(mvex []byte) {
	for kind, trex := range boxes(mvex) {
		r := boxReader{data: trex}
		r.full()
		if kind == "trex" && r.u32() == t.id {
			r.u32()
			t.duration, t.size = r.u32(), r.u32()
		}
	}
}

// shift applies the edits to the time of a sample.
func (t *track) shift(at uint64) uint64 {
	at += t.startDelay
	return at - min(at, t.mediaTime)
}

// samples are those of the index (ISO 14496-12 section 8.6.1, 8.7). Its tables are compressed, and may claim anything.
func (t *track) samples() ([]tableSample, error) {
	stsz := boxReader{data: find(t.stbl, "stsz")}
	stsz.full()
	common, count := stsz.u32(), int64(stsz.u32())
	if stsz.short || count == 0 {
		return nil, nil // a file of fragments
	}
	if count > maxSamples || common == 0 && count > int64(len(stsz.data)/4) {
		return nil, fmt.Errorf("the index of the MP4 file claims %d frames; the file is broken", count)
	}
	if err := t.checkOrder(); err != nil {
		return nil, err
	}
	all := make([]tableSample, count)
	for i := range all {
		if all[i].size = common; common == 0 {
			all[i].size = stsz.u32()
		}
	}
	t.setTimes(all)
	return all, t.setOffsets(all)
}

// checkOrder looks at the difference between the times of decoding and of showing. If it is the same for all there
// are no B frames.
func (t *track) checkOrder() error {
	r := boxReader{data: find(t.stbl, "ctts")}
	r.full()
	first, known := uint32(0), false
	for count := r.u32(); count > 0; count-- {
		samples, offset := r.u32(), r.u32()
		if r.short {
			return nil
		}
		if known && offset != first && samples > 0 {
			return codec.ErrBFrames
		}
		first, known = offset, true
	}
	return nil
}

func (t *track) setTimes(all []tableSample) {
	r := boxReader{data: find(t.stbl, "stts")}
	r.full()
	r.u32()
	at, left, step := uint64(0), uint32(0), uint32(0)
	for i := range all {
		for left == 0 && !r.short {
			left, step = r.u32(), r.u32()
		}
		all[i].at = at
		at += uint64(step)
		left--
	}
}

// setOffsets goes through the chunks, runs of which have as many samples each.
func (t *track) setOffsets(all []tableSample) error {
	chunks := boxReader{data: find(t.stbl, "stco")}
	wide := chunks.data == nil
	if wide {
		chunks.data = find(t.stbl, "co64")
	}
	chunks.full()
	chunks.u32()
	runs := boxReader{data: find(t.stbl, "stsc")}
	runs.full()
	left := runs.u32() // runs that have not begun
	perChunk, nextRun := uint32(0), runs.u32()
	for i, chunk := 0, uint32(1); i < len(all); chunk++ {
		if left > 0 && chunk >= nextRun {
			perChunk = runs.u32()
			runs.u32()
			if left--; left > 0 {
				nextRun = runs.u32()
			}
		}
		place := int64(0)
		if wide {
			place = int64(chunks.u64() & (1<<62 - 1)) //nolint:gosec // masked
		} else {
			place = int64(chunks.u32())
		}
		if chunks.short || runs.short || perChunk == 0 {
			return errors.New("the index of the MP4 file does not say where its frames are; the file is broken")
		}
		for n := perChunk; n > 0 && i < len(all); n-- {
			all[i].from = place
			place += int64(all[i].size)
			i++
		}
	}
	return nil
}

const maxMoof = 16 << 20

// readFragment reads the samples of the next fragment that has any of the track; io.EOF after the last.
func (r *reader) readFragment() error {
	for len(r.queue) == 0 {
		b, err := nextBox(r.file, r.place, r.size)
		if err != nil {
			return err
		}
		start := r.place
		r.place = b.end
		if b.kind != "moof" {
			continue
		}
		moof, err := b.load(r.file, r.size, maxMoof)
		if errors.Is(err, media.ErrTruncated) {
			return io.EOF // whoever wrote it was interrupted
		}
		if err != nil {
			return err
		}
		for kind, traf := range boxes(moof) {
			if kind == "traf" {
				if err := r.readTraf(traf, start); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// readTraf reads what a fragment has of one track (ISO 14496-12 section 8.8.6 to 8.8.12).
func (r *reader) readTraf(traf []byte, start int64) error {
	tfhd := boxReader{data: find(traf, "tfhd")}
	_, flags := tfhd.full()
	if tfhd.u32() != r.track.id {
		return nil
	}
	base, duration, size := start, r.track.duration, r.track.size
	if flags&0x1 != 0 {
		base = int64(tfhd.u64() & (1<<62 - 1)) //nolint:gosec // masked
	}
	if flags&0x2 != 0 {
		tfhd.u32()
	}
	if flags&0x8 != 0 {
		duration = tfhd.u32()
	}
	if flags&0x10 != 0 {
		size = tfhd.u32()
	}
	tfdt := boxReader{data: find(traf, "tfdt")}
	version, _ := tfdt.full()
	at := tfdt.wide(version)
	place := base
	for kind, trun := range boxes(traf) {
		if kind != "trun" {
			continue
		}
		var err error
		if at, place, err = r.readTrun(trun, at, base, place, duration, size); err != nil {
			return err
		}
	}
	return tfhd.err()
}

// readTrun reads a run of samples, and returns the time and the place after it.
func (r *reader) readTrun(trun []byte, at uint64, base, place int64, duration, size uint32) (uint64, int64, error) {
	b := boxReader{data: trun}
	_, flags := b.full()
	count := b.u32()
	if flags&0x1 != 0 {
		place = base + int64(int32(b.u32())) //nolint:gosec // it is signed
	}
	if flags&0x4 != 0 {
		b.u32()
	}
	if flags&0xF00 == 0 && count > maxMoof || len(r.queue) > maxSamples {
		return 0, 0, fmt.Errorf("a fragment of the MP4 file claims %d frames; the file is broken", count)
	}
	first := uint32(0)
	for i := range count {
		s := tableSample{at: at, from: place, size: size}
		step := duration
		if flags&0x100 != 0 {
			step = b.u32()
		}
		if flags&0x200 != 0 {
			s.size = b.u32()
		}
		if flags&0x400 != 0 {
			b.u32()
		}
		if flags&0x800 != 0 {
			offset := b.u32()
			if i > 0 && offset != first {
				return 0, 0, codec.ErrBFrames
			}
			first = offset
		}
		if b.short {
			return 0, 0, errBoxShort
		}
		r.queue = append(r.queue, s)
		at, place = at+uint64(step), place+int64(s.size)
	}
	return at, place, nil
}
