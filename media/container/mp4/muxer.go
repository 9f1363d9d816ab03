package mp4

import (
	"bytes"
	"errors"
	"time"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
)

const (
	fragmentLength = time.Second // at least; then a key frame begins the next
	fragmentLimit  = 2 * time.Second
	fragmentBytes  = 8 << 20
)

// muxer writes an MP4 file of fragments, each of which is an index and its data: what has been written plays, whatever
// becomes of the writer. At the end the durations in the header are patched.
type muxer struct {
	file     media.Output
	tracks   []*outTrack
	video    *outTrack // the first video track, nil without video
	head     []byte
	sequence uint32
	begun    bool          // a fragment
	start    time.Duration // of it
	bytes    int           // in it
	end      time.Duration // of what is in the file
}

// outTrack is one track of the file.
type outTrack struct {
	id            uint32
	mime          string
	video         bool
	clock         uint32
	width, height uint16   // the largest
	entries       [][]byte // how its frames are encoded, see descriptions
	entry         int      // which of them that is in this fragment
	room          int      // for entries, in bytes
	samples       []outSample
	data          []byte
	step          int64 // the latest duration
	end           int64 // of what has been written
}

type outSample struct {
	at, duration int64 // in units of the clock
	size         uint32
	key          bool
}

// NewMuxer writes the header of an MP4 file. A video track begins with a key frame; H.264 needs its parameter sets in it.
func NewMuxer(file media.Output, tracks []media.OutputTrack) (media.Muxer, error) {
	m := &muxer{file: file}
	for i, t := range tracks {
		out := &outTrack{id: uint32(i) + 1, mime: t.MIME, clock: media.OpusClockRate, step: media.OpusClockRate / 50} //nolint:gosec // few tracks
		if out.video = media.KindOf(t.MIME) == webrtc.RTPCodecTypeVideo; out.video {
			if m.video == nil {
				m.video = out
			}
			out.clock, out.step = media.VideoClockRate, media.VideoClockRate/30
			out.width, out.height = frameSize(t.First)
			out.room = descriptionRoom
			if t.MIME == webrtc.MimeTypeH264 && codec.AVCDecoderConfig(t.First.Data) == nil {
				return nil, errors.New("the first key frame has no parameter sets, without which H.264 cannot be recorded to .mp4; record to .h264")
			}
		}
		out.entries = [][]byte{sampleEntry(t.MIME, t.First)}
		out.room += len(out.entries[0])
		m.tracks = append(m.tracks, out)
	}
	m.head = initSegment(m.tracks)
	_, err := file.Write(m.head)
	return m, err
}

func (m *muxer) WriteFrame(track int, f media.Frame, at time.Duration) error {
	out := m.tracks[track]
	ticks := media.DurationToTicks(max(at, 0), out.clock)
	if n := len(out.samples); n > 0 {
		ticks = max(ticks, out.samples[n-1].at+1)
		out.step = ticks - out.samples[n-1].at
		out.samples[n-1].duration = out.step
	} else {
		ticks = max(ticks, out.end)
	}
	entry, err := m.describe(out, f)
	if err == nil && (m.wantsFragment(out, f, at) || m.begun && entry != out.entry) {
		err = m.flush()
	}
	if err != nil {
		return err
	}
	out.entry = entry
	if !m.begun {
		m.begun, m.start = true, at
	}
	before := len(out.data)
	if out.mime == webrtc.MimeTypeH264 {
		out.data = codec.AppendLengthPrefixed(out.data, f.Data)
	} else {
		out.data = append(out.data, f.Data...)
	}
	size := len(out.data) - before
	m.bytes += size
	duration := out.step
	if !out.video {
		duration = int64(codec.OpusPacketSamples(f.Data))
	}
	out.samples = append(out.samples, outSample{at: ticks, duration: duration, size: uint32(size), key: f.Key}) //nolint:gosec // at most media.MaxFrameSize
	return nil
}

func (m *muxer) wantsFragment(t *outTrack, f media.Frame, at time.Duration) bool {
	length := at - m.start
	seekable := t == m.video && f.Key || m.video == nil
	return m.begun && (seekable && length >= fragmentLength || length >= fragmentLimit || m.bytes >= fragmentBytes)
}

// flush writes the fragment, as a whole.
func (m *muxer) flush() error {
	m.begun, m.bytes = false, 0
	m.sequence++
	index := moof(m.sequence, m.tracks, 0)
	index = moof(m.sequence, m.tracks, len(index)+8)
	parts := [][]byte{}
	for _, t := range m.tracks {
		parts = append(parts, t.data)
	}
	if _, err := m.file.Write(append(index, box("mdat", parts...)...)); err != nil {
		return err
	}
	for _, t := range m.tracks {
		if n := len(t.samples); n > 0 {
			last := t.samples[n-1]
			t.end = last.at + 1 // the next one may come earlier than the guess says
			m.end = max(m.end, media.TicksToDuration(last.at+last.duration, t.clock))
		}
		t.samples, t.data = t.samples[:0], t.data[:0]
	}
	return nil
}

// Finish writes what is left and the durations.
func (m *muxer) Finish(duration time.Duration) error {
	var err error
	if m.begun {
		err = m.flush()
	}
	duration = min(duration, m.end) // on a full disk the end is missing
	set := func(kind string, at int, scale uint32, from int) int {
		place := from + bytes.Index(m.head[from:], []byte(kind))
		err = errors.Join(err, m.file.Patch(int64(place+4+at), durationIn(duration, scale)))
		return place + 4
	}
	// In version 1 of each, after version and flags: two times of 8 bytes, and what is between.
	set("mvhd", 24, movieTimescale, 0)
	set("mehd", 4, movieTimescale, 0)
	from := 0
	for _, t := range m.tracks {
		from = set("tkhd", 28, movieTimescale, from)
		from = set("mdhd", 24, t.clock, from)
	}
	return err
}
