package source

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/bits"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
)

const (
	mp4MaxMoov    = 128 << 20 // bytes: an index of some days
	mp4MaxSamples = 20 << 20
)

// mp4Sample is the place of one frame.
type mp4Sample struct {
	at   uint64 // in units of the track's timescale
	from int64
	size uint32
}

// mp4Reader reads one track of an MP4 file (ISO 14496-12): the samples that its index names, and then those of
// fragments, each of which has an index of its own.
//
// The boxes are read here, for mp4ff trusts the sizes in them, and knows neither Opus nor VP9.
type mp4Reader struct {
	file  io.ReaderAt
	size  int64
	track mp4Track
	codec webrtc.RTPCodecCapability
	avc   *codec.AVCC
	queue []mp4Sample // of the index, or of the latest fragment
	place int64       // where the next fragment may begin
	data  []byte
	frame int
	last  uint64 // ticks of the latest frame
	step  uint64
}

func openMP4(_ *bufio.Reader, o fileOptions) (sampleReader, webrtc.RTPCodecCapability, error) {
	var capability webrtc.RTPCodecCapability
	if o.random == nil {
		return nil, capability, errors.New("MP4 cannot be read from a pipe, as its index may be at its end; name the file, or write WebM: ffmpeg … -f webm -")
	}
	m := &mp4Reader{file: o.random, size: o.size}
	moov, err := m.findMoov()
	if err != nil {
		return nil, capability, err
	}
	if err := m.choose(moov, o.kind); err != nil {
		return nil, capability, err
	}
	if len(m.queue) == 0 {
		if err := m.readFragment(); err != nil && !errors.Is(err, io.EOF) {
			return nil, capability, err
		}
	}
	return m, m.codec, nil
}

// findMoov loads the index.
func (m *mp4Reader) findMoov() ([]byte, error) {
	for at := int64(0); ; {
		b, err := nextBox(m.file, at, m.size)
		if errors.Is(err, io.EOF) {
			return nil, errors.New("there is no index (moov) in the MP4 file: whoever wrote it was interrupted, or it is cut off")
		}
		if err != nil {
			return nil, err
		}
		if b.kind == "moov" {
			m.place = b.end
			return b.load(m.file, m.size, mp4MaxMoov)
		}
		at = b.end
	}
}

// choose takes the first track of a kind.
func (m *mp4Reader) choose(moov []byte, kind webrtc.RTPCodecType) error {
	handler := map[webrtc.RTPCodecType]string{webrtc.RTPCodecTypeVideo: "vide", webrtc.RTPCodecTypeAudio: "soun"}[kind]
	for name, trak := range boxes(moov) {
		hdlr := boxReader{data: find(trak, "mdia", "hdlr")}
		hdlr.take(8)
		if name != "trak" || string(hdlr.take(4)) != handler {
			continue
		}
		var err error
		if m.track, err = readMP4Track(trak, moov); err != nil {
			return err
		}
		if m.codec, m.avc, err = mp4Codec(m.track.entry); err != nil {
			return err
		}
		m.queue, err = m.track.samples()
		return err
	}
	return fmt.Errorf("there is no %s in it", kind)
}

// mp4Codec looks at the sample description (ISO 14496-12 section 8.5.2).
func mp4Codec(stsd []byte) (capability webrtc.RTPCodecCapability, avc *codec.AVCC, err error) {
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
			capability = opusCodec()
			if dops := find(entry[audio:], "dOps"); len(dops) >= 2 && dops[1] > 2 {
				err = fmt.Errorf("the file has %d channels; a call carries 1 or 2", dops[1])
			}
		default:
			err = cannotSend(kind)
		}
		return capability, nil, err
	}
	return capability, nil, errors.New("the MP4 file does not say how it is encoded")
}

func (m *mp4Reader) next() (sample, error) {
	for {
		for len(m.queue) == 0 {
			if err := m.readFragment(); err != nil {
				return sample{}, err
			}
		}
		s := m.queue[0]
		m.queue = m.queue[1:]
		m.frame++
		out, err := m.read(s)
		if err != nil {
			return sample{}, fmt.Errorf("frame %d: %w", m.frame, err)
		}
		if len(out.data) > 0 {
			return out, nil
		}
	}
}

func (m *mp4Reader) read(s mp4Sample) (out sample, err error) {
	if s.size > media.MaxFrameSize || s.from < 0 || s.from > m.size {
		return out, fmt.Errorf("it claims %d bytes at %d; the file is broken", s.size, s.from)
	}
	if int64(s.size) > m.size-s.from {
		return out, media.ErrTruncated
	}
	if cap(m.data) < int(s.size) {
		m.data = make([]byte, s.size)
	}
	m.data = m.data[:s.size]
	if _, err := m.file.ReadAt(m.data, s.from); err != nil && !errors.Is(err, io.EOF) {
		return out, err
	}
	out.data = m.data
	if m.avc != nil {
		if out.data, err = m.avc.ToAnnexB(m.data); err != nil {
			return out, err
		}
	}
	if err := m.setTime(s.at); err != nil {
		return out, err
	}
	out.at, out.duration = m.last, max(1, m.step)
	if m.codec.MimeType == webrtc.MimeTypeOpus {
		if out.duration = uint64(codec.OpusPacketSamples(out.data)); out.duration == 0 && len(out.data) > 0 { //nolint:gosec // at most 5760
			return out, errors.New("it is not Opus")
		}
	}
	return out, nil
}

// setTime converts a time to units of the clock rate, and checks that time goes on.
func (m *mp4Reader) setTime(at uint64) error {
	at = m.track.shift(at)
	high, low := bits.Mul64(at, uint64(m.codec.ClockRate))
	if high >= uint64(m.track.timescale) {
		return errors.New("its time is out of range")
	}
	ticks, _ := bits.Div64(high, low, uint64(m.track.timescale))
	if ticks > m.last+media.MaxSampleGap*uint64(m.codec.ClockRate) {
		return errors.New("time jumps by more than an hour")
	}
	if ticks > m.last {
		m.step = ticks - m.last
	}
	m.last = max(ticks, m.last)
	return nil
}
