package mp4

import (
	"math"
	"slices"
	"time"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
)

const movieTimescale = 1000

// initSegment returns the start of a file of fragments (ISO 14496-12 section 8.8): its index has no
// samples. A duration of 0 is unknown. The length does not depend on the duration, nor on the
// number of sample descriptions.
func initSegment(tracks []*outputTrack, duration time.Duration) []byte {
	moov := [][]byte{fullBox("mvhd", 1, 0, be64(0, 0), be32(movieTimescale), ticks(duration, movieTimescale), be32(1<<16), be16(1<<8),
		make([]byte, 10), transformation(0, 0, 0), make([]byte, 24), be32(uint32(len(tracks))+1))} //nolint:gosec // few
	mehd := fullBox("mehd", 1, 0, ticks(duration, movieTimescale))
	if duration == 0 {
		copy(mehd[4:], "free") // without it a player takes the duration from the fragments
	}
	mvex := [][]byte{mehd}
	for _, t := range tracks {
		moov = append(moov, t.trak(duration))
		mvex = append(mvex, fullBox("trex", 0, 0, be32(t.id, 1, 0, 0, 0)))
	}
	ftyp := box("ftyp", []byte("iso5"), be32(512), []byte("iso5iso6mp41"))
	return append(ftyp, box("moov", append(moov, box("mvex", mvex...))...)...)
}

// trak returns the description of a track (ISO 14496-12 section 8.3).
func (t *outputTrack) trak(duration time.Duration) []byte {
	volume, handler, header := uint16(1<<8), "soun", fullBox("smhd", 0, 0, be32(0))
	if t.video {
		volume, handler, header = 0, "vide", fullBox("vmhd", 0, 1, make([]byte, 8))
	}
	const enabledInMovie = 3
	tkhd := fullBox("tkhd", 1, enabledInMovie, be64(0, 0), be32(t.id, 0), ticks(duration, movieTimescale), make([]byte, 8),
		be16(0, 0, volume, 0), transformation(t.rotation, t.width, t.height), be32(uint32(t.width)<<16, uint32(t.height)<<16))
	const undetermined = 0x55C4 // language und
	mdhd := fullBox("mdhd", 1, 0, be64(0, 0), be32(t.clockRate), ticks(duration, t.clockRate), be16(undetermined, 0))
	hdlr := fullBox("hdlr", 0, 0, be32(0), []byte(handler), make([]byte, 12), []byte("parley\x00"))
	dinf := box("dinf", fullBox("dref", 0, 0, be32(1), fullBox("url ", 0, 1)))
	stbl := box("stbl", t.stsd(), fullBox("stts", 0, 0, be32(0)), fullBox("stsc", 0, 0, be32(0)),
		fullBox("stsz", 0, 0, be32(0, 0)), fullBox("stco", 0, 0, be32(0)))
	return box("trak", tkhd, box("mdia", mdhd, hdlr, box("minf", header, dinf, stbl)))
}

// stsd returns the sample descriptions, and a free box for those that may follow (ISO 14496-12
// sections 8.5.2 and 8.1.2).
func (t *outputTrack) stsd() []byte {
	entries := slices.Concat(t.entries...)
	stsd := fullBox("stsd", 0, 0, be32(uint32(len(t.entries))), entries) //nolint:gosec // few
	return append(stsd, box("free", make([]byte, t.entryBytes-len(entries)))...)
}

// sampleEntry describes how the samples of a track are encoded, by a frame: a key frame of video
// (ISO 14496-12 section 8.5.2, ISO 14496-15, and the bindings of VP9, AV1 and Opus).
func sampleEntry(mime string, f media.Frame) []byte {
	width, height := frameSize(f)
	kind, config := "avc1", []byte(nil)
	switch mime {
	case webrtc.MimeTypeOpus:
		// Two channels play mono too. There is no pre-skip, as in codec.NewOpusHead.
		dops := box("dOps", []byte{0, 2, 0, 0}, be32(media.OpusClockRate), []byte{0, 0, 0})
		return box("Opus", make([]byte, 6), be16(1), make([]byte, 8), be16(2, 16, 0, 0), be32(media.OpusClockRate<<16), dops)
	case webrtc.MimeTypeH264:
		config = box("avcC", codec.AVCDecoderConfig(f.Data))
	case webrtc.MimeTypeVP9:
		kind, config = "vp09", fullBox("vpcC", 1, 0, codec.VP9DecoderConfig(f.Data, width, height))
	case webrtc.MimeTypeAV1:
		kind, config = "av01", box("av1C", codec.AV1DecoderConfig(f.Data))
	}
	return box(kind, make([]byte, 6), be16(1), make([]byte, 16), be16(width, height), be32(72<<16, 72<<16, 0), be16(1),
		make([]byte, 32), be16(24, 0xFFFF), config)
}

// frameSize returns the size of a frame in the range of the file format.
func frameSize(f media.Frame) (width, height uint16) {
	return uint16(min(f.Width, math.MaxUint16)), uint16(min(f.Height, math.MaxUint16)) //nolint:gosec // bounded
}

// transformation returns the matrix that rotates frames of a size clockwise, and moves them back to
// where they were (ISO 14496-12 section 6.2.2).
func transformation(rotation int, width, height uint16) []byte {
	const one, minusOne, w = 1 << 16, 0xFFFF0000, 1 << 30
	x, y := uint32(width)<<16, uint32(height)<<16
	switch rotation {
	case 90:
		return be32(0, one, 0, minusOne, 0, 0, y, 0, w)
	case 180:
		return be32(minusOne, 0, 0, 0, minusOne, 0, x, y, w)
	case 270:
		return be32(0, minusOne, 0, one, 0, 0, 0, x, w)
	}
	return be32(one, 0, 0, 0, one, 0, 0, 0, w)
}

// ticks returns a duration in units of a timescale as 64 bits.
func ticks(d time.Duration, timescale uint32) []byte {
	return be64(uint64(media.DurationToTicks(d, timescale))) //nolint:gosec // not negative
}

// moof returns the index of a fragment. dataOffset is the offset of its data from the start of the
// index.
func moof(sequence uint32, tracks []*outputTrack, dataOffset int) []byte {
	parts := [][]byte{fullBox("mfhd", 0, 0, be32(sequence))}
	for _, t := range tracks {
		if len(t.samples) == 0 {
			continue
		}
		const descriptionPresent, baseIsMoof = 0x2, 0x20000
		const dataOffsetPresent, durations, sizes, flags = 0x1, 0x100, 0x200, 0x400
		const independent, dependent = 0x2000000, 0x1000000     // sample_depends_on
		run := be32(uint32(len(t.samples)), uint32(dataOffset)) //nolint:gosec // bounded
		for _, s := range t.samples {
			kind := uint32(independent)
			if !s.key {
				kind = dependent | nonSync
			}
			run = append(run, be32(uint32(s.duration), s.size, kind)...) //nolint:gosec // bounded
		}
		parts = append(parts, box("traf",
			fullBox("tfhd", 0, descriptionPresent|baseIsMoof, be32(t.id, uint32(t.entry)+1)), //nolint:gosec // few
			fullBox("tfdt", 1, 0, be64(uint64(t.samples[0].time))),                           //nolint:gosec // not negative
			fullBox("trun", 0, dataOffsetPresent|durations|sizes|flags, run)))
		dataOffset += len(t.data)
	}
	return box("moof", parts...)
}
