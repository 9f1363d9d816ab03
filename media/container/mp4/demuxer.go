// Package mp4 reads and writes MP4 files.
package mp4

import (
	"errors"
	"fmt"
	"io"
	"math/bits"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
)

const (
	maxMoov    = 128 << 20 // bytes: an index of some days
	maxSamples = 20 << 20
)

// tableSample is the place of one frame.
type tableSample struct {
	at   uint64 // in units of the track's timescale
	from int64
	size uint32
}

// demuxer reads the tracks of an MP4 file (ISO 14496-12).
//
// The boxes are read here, for mp4ff trusts the sizes in them, and knows neither Opus nor VP9.
type demuxer struct {
	tracks   []media.Track
	readers  []*reader // of each track
	selected []*reader
}

// reader reads one track: the samples that its index names, and then those of fragments, each of which has an index of
// its own.
type reader struct {
	file  io.ReaderAt
	size  int64
	index int
	track track
	codec webrtc.RTPCodecCapability
	avc   *codec.AVCC
	queue []tableSample // of the index, or of the latest fragment
	place int64         // where the next fragment may begin
	data  []byte
	frame int
	last  uint64 // ticks of the latest frame
	step  uint64
}

// NewDemuxer reads the index of an MP4 file.
func NewDemuxer(in media.Input) (media.Demuxer, error) {
	if in.ReaderAt == nil {
		return nil, errors.New("MP4 cannot be read from a pipe, as its index may be at its end; name the file, or write WebM: ffmpeg … -f webm -")
	}
	moov, place, err := findMoov(in.ReaderAt, in.Size)
	if err != nil {
		return nil, err
	}
	d := &demuxer{}
	for kind, trak := range boxes(moov) {
		hdlr := boxReader{data: find(trak, "mdia", "hdlr")}
		hdlr.take(8)
		handler := string(hdlr.take(4))
		if kind != "trak" || handler != "vide" && handler != "soun" {
			continue
		}
		r := &reader{file: in.ReaderAt, size: in.Size, place: place, index: len(d.tracks)}
		err := r.open(trak, moov)
		if r.codec.MimeType == "" && err != nil {
			r.codec.MimeType = map[string]string{"vide": "video/", "soun": "audio/"}[handler]
		}
		d.tracks = append(d.tracks, media.Track{Codec: r.codec, Err: err})
		d.readers = append(d.readers, r)
	}
	return d, nil
}

func (r *reader) open(trak, moov []byte) (err error) {
	if r.track, err = readTrack(trak, moov); err != nil {
		return err
	}
	if r.codec, r.avc, err = readDescription(r.track.entry); err != nil {
		return err
	}
	r.queue, err = r.track.samples()
	return err
}

// Tracks implements media.Demuxer.
func (d *demuxer) Tracks() []media.Track { return d.tracks }

// Select implements media.Demuxer.
func (d *demuxer) Select(tracks ...int) error {
	for _, i := range tracks {
		r := d.readers[i]
		if len(r.queue) == 0 {
			if err := r.readFragment(); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
		}
		d.selected = append(d.selected, r)
	}
	return nil
}

// Next implements media.Demuxer. It returns the sample with the earliest time.
func (d *demuxer) Next() (media.Sample, error) {
	for {
		var first *reader
		for _, r := range d.selected {
			if len(r.queue) == 0 {
				if err := r.readFragment(); errors.Is(err, io.EOF) {
					continue
				} else if err != nil {
					return media.Sample{}, err
				}
			}
			if first == nil || r.seconds() < first.seconds() {
				first = r
			}
		}
		if first == nil {
			return media.Sample{}, io.EOF
		}
		s, err := first.next()
		if err != nil || len(s.Data) > 0 {
			return s, err
		}
	}
}

// seconds is the time of the next sample.
func (r *reader) seconds() float64 {
	return float64(r.track.shift(r.queue[0].at)) / float64(r.track.timescale)
}

// findMoov loads the index, and returns where it ends.
func findMoov(file io.ReaderAt, size int64) (moov []byte, end int64, err error) {
	for at := int64(0); ; {
		b, err := nextBox(file, at, size)
		if errors.Is(err, io.EOF) {
			return nil, 0, errors.New("there is no index (moov) in the MP4 file: whoever wrote it was interrupted, or it is cut off")
		}
		if err != nil {
			return nil, 0, err
		}
		if b.kind == "moov" {
			moov, err := b.load(file, size, maxMoov)
			return moov, b.end, err
		}
		at = b.end
	}
}

// readDescription looks at the sample description (ISO 14496-12 section 8.5.2).
func readDescription(stsd []byte) (capability webrtc.RTPCodecCapability, avc *codec.AVCC, err error) {
	const visual, audio = 78, 28 // bytes before the boxes of an entry
	for kind, entry := range boxes(stsd) {
		capability.ClockRate = media.VideoClockRate
		switch kind {
		case "avc1", "avc3":
			if len(entry) < visual {
				return capability, nil, errBoxShort
			}
			if avc, err = codec.ParseAVCC(find(entry[visual:], "avcC")); err == nil {
				capability = avc.Capability()
			}
			return capability, avc, err
		case "vp08":
			capability.MimeType = webrtc.MimeTypeVP8
		case "vp09":
			capability.MimeType = webrtc.MimeTypeVP9
		case "av01":
			capability.MimeType = webrtc.MimeTypeAV1
		case "Opus":
			if len(entry) < audio {
				return capability, nil, errBoxShort
			}
			capability = codec.OpusCapability()
			if dops := find(entry[audio:], "dOps"); len(dops) >= 2 && dops[1] > 2 {
				err = fmt.Errorf("the file has %d channels; a call carries 1 or 2", dops[1])
			}
		default:
			err = codec.UnsupportedCodec(kind)
		}
		return capability, nil, err
	}
	return capability, nil, errors.New("the MP4 file does not say how it is encoded")
}

// next reads the first sample of the queue. It may be empty.
func (r *reader) next() (media.Sample, error) {
	s := r.queue[0]
	r.queue = r.queue[1:]
	r.frame++
	out, err := r.read(s)
	if err != nil {
		return media.Sample{}, fmt.Errorf("frame %d: %w", r.frame, err)
	}
	return out, nil
}

func (r *reader) read(s tableSample) (out media.Sample, err error) {
	if s.size > media.MaxFrameSize || s.from < 0 || s.from > r.size {
		return out, fmt.Errorf("it claims %d bytes at %d; the file is broken", s.size, s.from)
	}
	if int64(s.size) > r.size-s.from {
		return out, media.ErrTruncated
	}
	if cap(r.data) < int(s.size) {
		r.data = make([]byte, s.size)
	}
	r.data = r.data[:s.size]
	if _, err := r.file.ReadAt(r.data, s.from); err != nil && !errors.Is(err, io.EOF) {
		return out, err
	}
	out.Data = r.data
	if r.avc != nil {
		if out.Data, err = r.avc.ToAnnexB(r.data); err != nil {
			return out, err
		}
	}
	if err := r.setTime(s.at); err != nil {
		return out, err
	}
	out.Track, out.Time, out.Duration = r.index, r.last, max(1, r.step)
	if r.codec.MimeType == webrtc.MimeTypeOpus {
		if out.Duration = uint64(codec.OpusPacketSamples(out.Data)); out.Duration == 0 && len(out.Data) > 0 { //nolint:gosec // at most 5760
			return out, errors.New("it is not Opus")
		}
	}
	return out, nil
}

// setTime converts a time to units of the clock rate, and checks that time goes on.
func (r *reader) setTime(at uint64) error {
	at = r.track.shift(at)
	high, low := bits.Mul64(at, uint64(r.codec.ClockRate))
	if high >= uint64(r.track.timescale) {
		return errors.New("its time is out of range")
	}
	ticks, _ := bits.Div64(high, low, uint64(r.track.timescale))
	if ticks > r.last+media.MaxSampleGap*uint64(r.codec.ClockRate) {
		return errors.New("time jumps by more than an hour")
	}
	if ticks > r.last {
		r.step = ticks - r.last
	}
	r.last = max(ticks, r.last)
	return nil
}
