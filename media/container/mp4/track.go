package mp4

import (
	"errors"
	"fmt"
	"iter"
	"math"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
)

// track is one track of a file. Times and durations are in units of its timescale.
type track struct {
	media.Track
	index        int // in Demuxer.Tracks
	video        bool
	id           uint32
	timescale    uint32
	descriptions []description
	edits        edits
	table        sampleTable
	defaults     fragmentDefaults

	selected bool     // its fragments are queued
	queue    []sample // of fragments
	head     sample   // the next sample, of the table or the queue
	hasHead  bool
	count    int    // samples that Next has taken
	lastTime uint64 // of the last one, in units of the clock rate

	// The last sample of the table, or of the fragments that were read.
	lastDTS, lastPTS int64
	nextDTS          int64 // decoding time after it
	shift            int64 // what is added to the times of fragments
	reordered        bool  // a presentation time was before that of the sample before
}

// sample is the place and the time of a sample.
type sample struct {
	dts, pts    int64
	duration    int64
	offset      int64
	size        uint32
	description uint32 // index of the sample description, from 1
	sync        bool
}

// readTrack reads a trak box (ISO 14496-12 section 8.3). It returns nil for a track that is neither
// video nor audio. More than maxSamples in its sample table are an error.
func readTrack(trak, moov []byte, maxSamples uint32, warn func(string)) *track {
	hdlr := boxReader{data: find(trak, "mdia", "hdlr")}
	hdlr.take(8)
	handler := string(hdlr.take(4))
	if handler != "vide" && handler != "soun" {
		return nil
	}
	t := &track{video: handler == "vide", timescale: 1}
	t.Codec.MimeType = "audio/"
	if t.video {
		t.Codec.MimeType = "video/"
	}
	t.Err = t.read(trak, moov, maxSamples, warn)
	return t
}

func (t *track) read(trak, moov []byte, maxSamples uint32, warn func(string)) error {
	stbl := find(trak, "mdia", "minf", "stbl")
	t.readDescriptions(find(stbl, "stsd"))
	if len(t.descriptions) == 0 {
		return errors.New("the MP4 file does not say how the track is encoded")
	}
	t.Codec = t.descriptions[0].codec

	mvhd := boxReader{data: find(moov, "mvhd")}
	version, _ := mvhd.full()
	mvhd.uint(version)
	mvhd.uint(version)
	movieTimescale := mvhd.u32()
	mvhd.uint(version)
	mvhd.take(16) // rate, volume, reserved

	tkhd := boxReader{data: find(trak, "tkhd")}
	version, _ = tkhd.full()
	tkhd.uint(version)
	tkhd.uint(version)
	t.id = tkhd.u32()
	tkhd.take(4)
	tkhd.uint(version)
	tkhd.take(16) // reserved, layer, alternate group, volume

	mdhd := boxReader{data: find(trak, "mdia", "mdhd")}
	version, _ = mdhd.full()
	mdhd.uint(version)
	mdhd.uint(version)
	timescale := mdhd.u32()
	if tkhd.short || mdhd.short {
		return errBoxShort
	}
	if timescale == 0 {
		return errors.New("the MP4 file has a timescale of 0")
	}
	t.timescale = timescale
	if t.video {
		t.Rotation = rotation(readMatrix(&tkhd).multiply(readMatrix(&mvhd)), warn)
	}
	mvex := find(moov, "mvex")
	t.edits = readEdits(find(trak, "edts", "elst"), movieTimescale, t.timescale, mvex != nil, warn)
	t.readDefaults(mvex)
	if err := t.openTable(stbl, maxSamples); err != nil {
		return err
	}
	return t.descriptions[0].err
}

// openTable checks the sample table and goes to the first sample that is needed.
func (t *track) openTable(stbl []byte, maxSamples uint32) (err error) {
	if t.table, err = newSampleTable(stbl, maxSamples); err != nil {
		return err
	}
	for check := t.table; check.remaining > 0; {
		s, err := check.next()
		if err == nil {
			err = t.checkDescription(s.description)
		}
		if err != nil {
			return err
		}
		t.push(s)
	}
	if t.reordered {
		return codec.ErrBFrames
	}
	for range t.startIndex(t.table.samples()) {
		_, _ = t.table.next() // checked
	}
	return nil
}

// startIndex returns the index of the sample with which the track starts. Audio starts with the
// sample that is presented at the start of the edit list: samples before it only prepare the
// decoder. Video starts with the last sync sample up to there, or the first one after it.
func (t *track) startIndex(samples iter.Seq[sample]) int {
	i, start, found := 0, 0, false
	for s := range samples {
		switch {
		case !t.video && s.pts+s.duration > t.edits.mediaTime:
			return i
		case t.video && s.sync && (!found || s.pts <= t.edits.mediaTime):
			start, found = i, true
		}
		if t.video && found && s.pts > t.edits.mediaTime {
			break
		}
		i++
	}
	if !t.video {
		return i
	}
	return start
}

// time returns the presentation time of a sample on the timeline of the movie. That of pre-roll is
// negative.
func (t *track) time(s sample) int64 { return s.pts - t.edits.mediaTime + t.edits.delay }

// checkDescription returns the reason why samples with this sample description cannot be sent.
func (t *track) checkDescription(index uint32) error {
	if index == 0 || int64(index) > int64(len(t.descriptions)) {
		return fmt.Errorf("the MP4 file has no sample description %d; the file is broken", index)
	}
	d := t.descriptions[index-1]
	if d.err == nil && d.codec.MimeType != t.Codec.MimeType {
		return fmt.Errorf("the codec changes from %s to %s, which cannot be sent in one track",
			media.CodecName(t.Codec.MimeType), media.CodecName(d.codec.MimeType))
	}
	return d.err
}

// description is a sample description.
type description struct {
	codec webrtc.RTPCodecCapability
	avc   *codec.AVCC // for H.264
	err   error       // why it cannot be sent
}

// readDescriptions reads an stsd box (ISO 14496-12 section 8.5.2).
func (t *track) readDescriptions(stsd []byte) {
	r := boxReader{data: stsd}
	r.full()
	count := r.u32()
	for kind, entry := range boxes(r.data) {
		if uint32(len(t.descriptions)) >= min(count, maxDescriptions) { //nolint:gosec // bounded
			return
		}
		d := readDescription(kind, entry)
		if media.KindOf(d.codec.MimeType) != media.KindOf(t.Codec.MimeType) { // unknown, or of a broken file
			d = description{codec: t.Codec, err: codec.UnsupportedCodec(kind)}
		}
		t.descriptions = append(t.descriptions, d)
	}
}

// readDescription reads a sample entry (ISO 14496-12 section 8.5.2, ISO 14496-15, and the bindings
// of VP, AV1 and Opus).
func readDescription(kind string, entry []byte) (d description) {
	const visual, audio = 78, 28 // size of the fields before the boxes of an entry
	d.codec.ClockRate = media.VideoClockRate
	switch kind {
	case "avc1", "avc3":
		d.codec.MimeType = webrtc.MimeTypeH264
		if len(entry) < visual {
			d.err = errBoxShort
		} else if d.avc, d.err = codec.ParseAVCC(find(entry[visual:], "avcC")); d.err == nil {
			d.codec = d.avc.Capability()
			d.err = d.avc.CheckSendable()
		}
	case "vp08":
		d.codec.MimeType = webrtc.MimeTypeVP8
	case "vp09":
		d.codec.MimeType = webrtc.MimeTypeVP9
	case "av01":
		d.codec.MimeType = webrtc.MimeTypeAV1
	case "Opus":
		d.codec = codec.OpusCapability()
		if len(entry) < audio {
			d.err = errBoxShort
		} else if dops := find(entry[audio:], "dOps"); len(dops) > 0 {
			// dOps is OpusHead without its signature, with version 0 and other byte order.
			_, d.err = codec.ParseOpusHead(append([]byte("OpusHead\x01"), dops[1:]...))
		}
	default:
		d.err = codec.UnsupportedCodec(kind)
	}
	return d
}

// edits is the edit list of a track (ISO 14496-12 section 8.6.6).
type edits struct {
	delay     int64 // duration of the empty edits at the start
	mediaTime int64 // presentation time at which the first edit starts
	end       int64 // presentation time at which the last edit ends, 0 without an end
}

// readEdits reads an edit list. The edits of a file of fragments have no end: their durations are
// those of the sample table, or 0.
func readEdits(elst []byte, movieTimescale, timescale uint32, fragmented bool, warn func(string)) (e edits) {
	r := boxReader{data: elst}
	version, _ := r.full()
	scale := func(duration int64) int64 {
		if movieTimescale == 0 || duration > maxSeconds*int64(movieTimescale) {
			return 0
		}
		return media.DurationToTicks(media.TicksToDuration(duration, movieTimescale), timescale)
	}
	started, cut := false, false
	for count := r.u32(); count > 0; count-- {
		duration, start := r.uint(version), int64(0)
		if version == 1 {
			start = int64(r.u64()) //nolint:gosec // signed by definition
		} else {
			start = r.i32()
		}
		r.take(4) // media rate
		switch {
		case r.short || start > maxSeconds*int64(timescale):
			return e
		case start < 0:
			if !started {
				e.delay += scale(duration)
			}
			continue
		case !started:
			e.mediaTime, started = start, true
		case start-e.end > int64(timescale)/10 || e.end-start > int64(timescale)/10:
			cut = true
		}
		if e.end = start + scale(duration); duration == 0 || fragmented {
			e.end = 0
			break
		}
	}
	if cut {
		warn("the edit list of the MP4 file has cuts; what they remove is sent")
	}
	return e
}

// matrix is the linear part of a transformation matrix (ISO 14496-12 section 6.2.2): a point (x, y)
// with y downwards becomes (ax + cy, bx + dy).
type matrix struct{ a, b, c, d int64 }

// readMatrix reads the matrix of a tkhd or mvhd box.
func readMatrix(r *boxReader) matrix {
	m := matrix{a: r.i32(), b: r.i32()}
	r.take(4)
	m.c, m.d = r.i32(), r.i32()
	r.take(4)
	if r.short {
		return matrix{a: 1 << 16, d: 1 << 16}
	}
	return m
}

// multiply returns m followed by n. Elements are 16.16 fixed-point numbers.
func (m matrix) multiply(n matrix) matrix {
	return matrix{
		a: (m.a*n.a + m.b*n.c) >> 16, b: (m.a*n.b + m.b*n.d) >> 16,
		c: (m.c*n.a + m.d*n.c) >> 16, d: (m.c*n.b + m.d*n.d) >> 16,
	}
}

// rotation returns the clockwise rotation by a matrix, rounded to 0, 90, 180 or 270 degrees.
// ffprobe reports it with the other sign: a video that is displayed after a clockwise rotation by
// 90 degrees has rotation=-90 in its side data.
func rotation(m matrix, warn func(string)) int {
	if m.a == 0 && m.b == 0 {
		return 0 // some writers leave it empty
	}
	degrees := math.Atan2(float64(m.b), float64(m.a)) * 180 / math.Pi
	if m.a*m.d-m.b*m.c < 0 {
		warn("the MP4 file mirrors the video, which a call cannot carry; it is sent as it is")
		return 0
	}
	quarters := int(math.Round(degrees / 90))
	if math.Abs(degrees-float64(quarters)*90) > 1 {
		warn(fmt.Sprintf("the MP4 file rotates the video by %.0f degrees; a call carries 0, 90, 180 and 270", degrees))
	}
	return (quarters + 4) % 4 * 90
}

// peek sets head to the next sample. It reports whether there is one.
func (t *track) peek() bool {
	switch {
	case t.hasHead:
	case t.table.remaining > 0:
		t.head, _ = t.table.next() // checked
		t.hasHead = t.edits.end == 0 || t.head.pts < t.edits.end
	case len(t.queue) > 0:
		t.head, t.queue, t.hasHead = t.queue[0], t.queue[1:], true
	}
	return t.hasHead
}
