package mp4

import (
	"math"
	"time"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
)

// identity is the matrix of no transformation (ISO 14496-12 section 6.2.2).
func identity() []byte { return be32(1<<16, 0, 0, 0, 1<<16, 0, 0, 0, 1<<30) }

const movieTimescale = 1000

// initSegment is the start of a file of fragments (ISO 14496-12 section 8.8): its index has no samples.
func initSegment(tracks []*outTrack) []byte {
	ftyp := box("ftyp", []byte("iso5"), be32(512), []byte("iso5iso6mp41"))
	parts := [][]byte{fullBox("mvhd", 1, 0, be64(0), be64(0), be32(movieTimescale), be64(0), be32(1<<16), be16(1<<8),
		make([]byte, 10), identity(), make([]byte, 24), be32(uint32(len(tracks))+1))} //nolint:gosec // two
	extends := [][]byte{fullBox("mehd", 1, 0, be64(0))}
	for _, t := range tracks {
		parts = append(parts, t.trak())
		extends = append(extends, fullBox("trex", 0, 0, be32(t.id, 1, 0, 0, 0)))
	}
	return append(ftyp, box("moov", append(parts, box("mvex", extends...))...)...)
}

// trak describes a track (ISO 14496-12 section 8.3).
func (t *outTrack) trak() []byte {
	video := t.video
	volume, handler, media := uint16(1<<8), "soun", fullBox("smhd", 0, 0, be32(0))
	if video {
		volume, handler, media = 0, "vide", fullBox("vmhd", 0, 1, make([]byte, 8))
	}
	tkhd := fullBox("tkhd", 1, 3, be64(0), be64(0), be32(t.id, 0), be64(0), make([]byte, 8), be16(0, 0, volume, 0), identity(),
		be32(uint32(t.width)<<16, uint32(t.height)<<16))
	mdhd := fullBox("mdhd", 1, 0, be64(0), be64(0), be32(t.clock), be64(0), be16(0x55C4, 0)) // language und
	hdlr := fullBox("hdlr", 0, 0, be32(0), []byte(handler), make([]byte, 12), []byte("parley\x00"))
	dinf := box("dinf", fullBox("dref", 0, 0, be32(1), fullBox("url ", 0, 1)))
	stbl := box("stbl", t.descriptions(), fullBox("stts", 0, 0, be32(0)), fullBox("stsc", 0, 0, be32(0)),
		fullBox("stsz", 0, 0, be32(0, 0)), fullBox("stco", 0, 0, be32(0)))
	return box("trak", tkhd, box("mdia", mdhd, hdlr, box("minf", media, dinf, stbl)))
}

// sampleEntry says how a track is encoded, by its first frame, or a key frame (ISO 14496-12 section 8.5.2, ISO 14496-15,
// and the bindings of VP, AV1 and Opus).
func sampleEntry(mime string, f media.Frame) []byte {
	width, height := frameSize(f)
	kind, config := "avc1", []byte(nil)
	switch mime {
	case webrtc.MimeTypeOpus:
		dops := box("dOps", []byte{0, 2, 0, 0}, be32(media.OpusClockRate), []byte{0, 0, 0}) // no pre-skip, see codec.NewOpusHead
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

// frameSize is the size of a picture as MP4 has it.
func frameSize(f media.Frame) (width, height uint16) {
	return uint16(min(f.Width, math.MaxUint16)), uint16(min(f.Height, math.MaxUint16)) //nolint:gosec // bounded
}

// moof is the index of a fragment; place is where its data begins after the start of the moof.
func moof(sequence uint32, tracks []*outTrack, place int) []byte {
	parts := [][]byte{fullBox("mfhd", 0, 0, be32(sequence))}
	for _, t := range tracks {
		if len(t.samples) == 0 {
			continue
		}
		const description, dataOffset, durations, sizes, flags, baseIsMoof = 0x2, 0x1, 0x100, 0x200, 0x400, 0x20000
		entries := be32(uint32(len(t.samples)), uint32(place)) //nolint:gosec // bounded
		for _, s := range t.samples {
			kind := uint32(0x2000000) // depends on no other
			if !s.key {
				kind = 0x1010000 // depends on others, and is no place to begin
			}
			entries = append(entries, be32(uint32(s.duration), s.size, kind)...) //nolint:gosec // bounded
		}
		parts = append(parts, box("traf",
			fullBox("tfhd", 0, description|baseIsMoof, be32(t.id, uint32(t.entry)+1)), //nolint:gosec // few
			fullBox("tfdt", 1, 0, be64(uint64(t.samples[0].at))),                      //nolint:gosec // not negative
			fullBox("trun", 0, dataOffset|durations|sizes|flags, entries)))
		place += len(t.data)
	}
	return box("moof", parts...)
}

// durationIn is a duration in units, for the header.
func durationIn(d time.Duration, scale uint32) []byte {
	return be64(uint64(math.Round(d.Seconds() * float64(scale))))
}
