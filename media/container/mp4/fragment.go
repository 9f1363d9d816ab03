package mp4

import (
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"

	"parley/media"
)

// fragmentDefaults are the values of samples that a fragment does not have itself (ISO 14496-12
// section 8.8.3).
type fragmentDefaults struct {
	description, duration, size, flags uint32
}

// nonSync is the flag sample_is_non_sync_sample (ISO 14496-12 section 8.8.3.1).
const nonSync = 0x10000

func (t *track) readDefaults(mvex []byte) {
	t.defaults.description = 1
	for kind, trex := range boxes(mvex) {
		r := boxReader{data: trex}
		r.full()
		if kind == "trex" && r.u32() == t.id {
			t.defaults = fragmentDefaults{description: r.u32(), duration: r.u32(), size: r.u32(), flags: r.u32()}
		}
	}
}

// readFragment appends the samples of the next fragment to the queues of the selected tracks. It
// returns io.EOF after the last whole fragment: that of an interrupted writer is cut off.
func (d *demuxer) readFragment() error {
	for {
		h, err := readBoxHeader(d.file, d.offset, d.size)
		if errors.Is(err, media.ErrTruncated) {
			return io.EOF
		}
		if err != nil {
			return err
		}
		start := d.offset
		d.offset += h.size
		if h.kind != "moof" {
			continue
		}
		moof, err := h.readBox(d.file, start, d.size, maxMoof)
		if errors.Is(err, media.ErrTruncated) {
			return io.EOF
		}
		if err != nil {
			return err
		}
		end := start
		for kind, traf := range boxes(moof) {
			if kind == "traf" {
				if end, err = d.readTraf(traf, start, end); err != nil {
					return err
				}
			}
		}
		d.skipData()
		return nil
	}
}

// skipData goes to the end of the mdat box of a fragment: a pipe has its header before the samples.
// An error is left to readFragment.
func (d *demuxer) skipData() {
	for {
		h, err := readBoxHeader(d.file, d.offset, d.size)
		if err != nil || h.kind == "moof" {
			return
		}
		d.offset += h.size
		if h.kind == "mdat" {
			return
		}
	}
}

// readTraf reads what a fragment has of one track (ISO 14496-12 section 8.8.6 to 8.8.12). moof is
// the offset of the fragment and previous the end of the data of the track before. It returns the
// end of the data of this track.
func (d *demuxer) readTraf(traf []byte, moof, previous int64) (int64, error) {
	r := boxReader{data: find(traf, "tfhd")}
	_, flags := r.full()
	id := r.u32()
	t := &track{timescale: 1}
	if i := slices.IndexFunc(d.tracks, func(t *track) bool { return t.id == id }); i >= 0 {
		t = d.tracks[i]
	}
	base, defaults := previous, t.defaults
	if flags&0x20000 != 0 { // default-base-is-moof
		base = moof
	}
	if flags&0x1 != 0 {
		base = r.uint(1)
	}
	for _, field := range []struct {
		flag  uint32
		value *uint32
	}{{0x2, &defaults.description}, {0x8, &defaults.duration}, {0x10, &defaults.size}, {0x20, &defaults.flags}} {
		if flags&field.flag != 0 {
			*field.value = r.u32()
		}
	}
	if r.short {
		return 0, errBoxShort
	}
	if err := t.startFragment(find(traf, "tfdt")); err != nil {
		return 0, err
	}
	end := base
	for kind, trun := range boxes(traf) {
		if kind == "trun" {
			var err error
			if end, err = t.readRun(trun, base, end, defaults); err != nil {
				return 0, err
			}
		}
	}
	return end, nil
}

// startFragment sets the decoding time of the next sample. A fragment without a tfdt box continues
// the one before. So does one that starts more than a second before the end of that one: its writer
// was started again.
func (t *track) startFragment(tfdt []byte) error {
	if tfdt == nil {
		return nil
	}
	r := boxReader{data: tfdt}
	version, _ := r.full()
	dts := r.uint(version)
	if r.short || dts/int64(t.timescale) > maxSeconds {
		return errors.New("the time of a fragment of the MP4 file is out of range; the file is broken")
	}
	if dts+t.shift < t.nextDTS-int64(t.timescale) {
		t.shift = t.nextDTS - dts
	}
	t.nextDTS = dts + t.shift
	return nil
}

// readRun reads a trun box. Its data begins at an offset from base, or else at end. It returns the
// end of its data.
func (t *track) readRun(trun []byte, base, end int64, defaults fragmentDefaults) (int64, error) {
	const dataOffset, firstFlags, durations, sizes, sampleFlags, timeOffsets = 0x1, 0x4, 0x100, 0x200, 0x400, 0x800
	r := boxReader{data: trun}
	_, present := r.full()
	count := r.u32()
	if present&dataOffset != 0 {
		end = base + r.i32()
	}
	first := defaults.flags
	if present&firstFlags != 0 {
		first = r.u32()
	}
	entry := 4 * bits.OnesCount32(present&(durations|sizes|sampleFlags|timeOffsets))
	if r.short || int64(count)*int64(entry) > int64(len(r.data)) || int64(len(t.queue))+int64(count) > maxQueue {
		return 0, fmt.Errorf("a fragment of the MP4 file claims %d samples; the file is broken", count)
	}
	for i := range count {
		s := sample{dts: t.nextDTS, duration: int64(defaults.duration), size: defaults.size, offset: end, description: defaults.description}
		flags := defaults.flags
		if i == 0 {
			flags = first
		}
		if present&durations != 0 {
			s.duration = int64(r.u32())
		}
		if present&sizes != 0 {
			s.size = r.u32()
		}
		if present&sampleFlags != 0 {
			flags = r.u32()
		}
		s.sync, s.pts = flags&nonSync == 0, s.dts
		if present&timeOffsets != 0 {
			s.pts += r.i32()
		}
		end += int64(s.size)
		t.push(s)
	}
	return end, nil
}

// push takes the times of the last sample, and appends it to the queue of a selected track.
func (t *track) push(s sample) {
	t.reordered = t.reordered || t.video && s.dts >= t.lastDTS && s.pts < t.lastPTS
	t.lastDTS, t.lastPTS, t.nextDTS = s.dts, s.pts, s.dts+s.duration
	if t.selected {
		t.queue = append(t.queue, s)
	}
}
