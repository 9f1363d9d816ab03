package mp4

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
)

// sampleTable iterates over the sample table of a track (ISO 14496-12 section 8.5 to 8.7). It reads
// the boxes as it goes, because their run lengths can claim any number of samples. A copy is an
// iterator of its own.
type sampleTable struct {
	remaining   uint32 // samples that next has not returned
	sampleSize  uint32 // of all samples, or 0 if sizes has them
	sizes       []byte // remaining entries of stsz or stz2
	sizeBits    uint32 // of an entry of sizes: 4, 8, 16 or 32
	halfByte    bool   // the next size of 4 bits is in the lower half of the first byte
	durations   runs   // stts
	offsets     runs   // ctts
	syncSamples []byte // remaining entries of stss
	allSync     bool   // there is no stss: all samples are sync samples
	number      uint32 // of the last sample, from 1
	dts         int64  // of the next sample

	chunks      []byte // remaining entries of stco or co64
	chunkBytes  int    // of an entry of chunks: 4 or 8
	chunkRuns   []byte // remaining entries of stsc
	chunk       uint32 // number of the chunk, from 1
	perChunk    uint32 // samples in each chunk of the run
	description uint32 // index of their sample description
	inChunk     uint32 // samples of the chunk that next has not returned
	offset      int64  // of the next sample of the chunk
}

// runs iterates over a table of run lengths and values.
type runs struct {
	data         []byte // remaining entries
	count, value uint32 // of the run
}

// next returns the next value. After the end of the table it repeats the last one.
func (r *runs) next() uint32 {
	for r.count == 0 && len(r.data) >= 8 {
		r.count, r.value = binary.BigEndian.Uint32(r.data), binary.BigEndian.Uint32(r.data[4:])
		r.data = r.data[8:]
	}
	if r.count > 0 {
		r.count--
	}
	return r.value
}

// entries returns the entries of a full box that has a count of entries, at most as many as there
// are.
func entries(box []byte, size int) []byte {
	r := boxReader{data: box}
	r.full()
	count := int64(r.u32())
	return r.data[:min(count*int64(size), int64(len(r.data)))]
}

// newSampleTable reads the boxes of an stbl box with at most maxSamples. A file of fragments has
// none, or empty ones.
func newSampleTable(stbl []byte, maxSamples uint32) (sampleTable, error) {
	t := sampleTable{sizeBits: 32, chunkBytes: 4}
	r := boxReader{data: find(stbl, "stsz")}
	if r.data != nil {
		r.full()
		t.sampleSize = r.u32()
	} else if r.data = find(stbl, "stz2"); r.data != nil {
		r.full()
		t.sizeBits = r.u32() & 0xFF
	}
	t.remaining = r.u32()
	t.sizes = r.data
	if r.short || t.remaining == 0 {
		return sampleTable{}, nil
	}
	if t.sizeBits != 4 && t.sizeBits != 8 && t.sizeBits != 16 && t.sizeBits != 32 {
		return sampleTable{}, fmt.Errorf("the MP4 file has sample sizes of %d bits; the file is broken", t.sizeBits)
	}
	if t.remaining > maxSamples || t.sampleSize == 0 && uint64(t.remaining)*uint64(t.sizeBits) > uint64(len(t.sizes))*8 {
		return sampleTable{}, fmt.Errorf("the index of the MP4 file claims %d samples; the file is broken", t.remaining)
	}
	t.durations.data = entries(find(stbl, "stts"), 8)
	t.offsets.data = entries(find(stbl, "ctts"), 8)
	stss := find(stbl, "stss")
	t.syncSamples, t.allSync = entries(stss, 4), stss == nil
	t.chunkRuns = entries(find(stbl, "stsc"), 12)
	if stco := find(stbl, "stco"); stco != nil {
		t.chunks = entries(stco, 4)
	} else {
		t.chunks, t.chunkBytes = entries(find(stbl, "co64"), 8), 8
	}
	return t, nil
}

// samples iterates over the remaining samples, up to an error.
func (t sampleTable) samples() iter.Seq[sample] {
	return func(yield func(sample) bool) {
		for t.remaining > 0 {
			if s, err := t.next(); err != nil || !yield(s) {
				return
			}
		}
	}
}

// next returns the next of the remaining samples.
func (t *sampleTable) next() (sample, error) {
	for t.inChunk == 0 {
		if err := t.nextChunk(); err != nil {
			return sample{}, err
		}
	}
	t.inChunk--
	t.remaining--
	t.number++
	s := sample{dts: t.dts, offset: t.offset, size: t.nextSize(), description: t.description, sync: t.allSync,
		duration: int64(t.durations.next())}
	s.pts = s.dts + int64(int32(t.offsets.next())) //nolint:gosec // signed in version 1, and by many writers in version 0
	t.dts += s.duration
	t.offset += int64(s.size)
	for len(t.syncSamples) >= 4 {
		n := binary.BigEndian.Uint32(t.syncSamples)
		s.sync = s.sync || n == t.number
		if n > t.number {
			break
		}
		t.syncSamples = t.syncSamples[4:]
	}
	return s, nil
}

// nextChunk goes to the next chunk. Runs of chunks have the same number of samples and the same
// sample description.
func (t *sampleTable) nextChunk() error {
	t.chunk++
	if len(t.chunkRuns) >= 12 && binary.BigEndian.Uint32(t.chunkRuns) <= t.chunk {
		t.perChunk, t.description = binary.BigEndian.Uint32(t.chunkRuns[4:]), binary.BigEndian.Uint32(t.chunkRuns[8:])
		t.chunkRuns = t.chunkRuns[12:]
	}
	if len(t.chunks) < t.chunkBytes || t.perChunk == 0 {
		return errors.New("the index of the MP4 file does not say where its samples are; the file is broken")
	}
	if t.chunkBytes == 8 {
		t.offset = int64(binary.BigEndian.Uint64(t.chunks) & (1<<62 - 1)) //nolint:gosec // masked
	} else {
		t.offset = int64(binary.BigEndian.Uint32(t.chunks))
	}
	t.chunks = t.chunks[t.chunkBytes:]
	t.inChunk = t.perChunk
	return nil
}

func (t *sampleTable) nextSize() uint32 {
	if t.sampleSize != 0 {
		return t.sampleSize
	}
	var size uint32
	switch t.sizeBits {
	case 4:
		size = uint32(t.sizes[0] >> 4)
		if t.halfByte {
			size = uint32(t.sizes[0] & 0xF)
		}
		if t.halfByte = !t.halfByte; t.halfByte {
			return size
		}
	case 8:
		size = uint32(t.sizes[0])
	case 16:
		size = uint32(binary.BigEndian.Uint16(t.sizes))
	default:
		size = binary.BigEndian.Uint32(t.sizes)
	}
	t.sizes = t.sizes[max(t.sizeBits/8, 1):]
	return size
}
