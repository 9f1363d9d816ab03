package mp4

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
)

const (
	fragmentDuration    = time.Second // at least; then a key frame begins the next fragment
	maxFragmentDuration = 2 * time.Second
	maxFragmentBytes    = 8 << 20
	// entryRoom is the space for sample descriptions after the first of a video track, in bytes:
	// enough for ten frame sizes. A sender has some: layers of a simulcast, steps of a browser that
	// adapts.
	entryRoom = 2 << 10
)

// Codecs returns the MIME types of the codecs that the muxer writes, video first. G.711 is not
// among them: ffmpeg and Chromium play a ulaw or alaw track, Firefox does not.
func Codecs() []string {
	return []string{webrtc.MimeTypeH264, webrtc.MimeTypeVP9, webrtc.MimeTypeAV1, webrtc.MimeTypeOpus}
}

// muxer writes an MP4 file of fragments, each of which is an index and its data: what has been
// written plays even if the writer ends early. Finish writes the duration to the start of the file.
type muxer struct {
	out      media.Output
	tracks   []*outputTrack
	video    *outputTrack // the first video track, nil without video
	sequence uint32       // number of the last fragment
	begun    bool         // a fragment
	start    time.Duration
	bytes    int           // in the fragment
	end      time.Duration // of what is in the file
}

// outputTrack is a track of the file. Times are in units of the clock rate.
type outputTrack struct {
	id            uint32
	mime          string
	video         bool
	clockRate     uint32
	rotation      int
	width, height uint16   // the largest
	entries       [][]byte // sample descriptions
	entryBytes    int      // space for them
	entry         int      // index of the one of this fragment
	samples       []outputSample
	data          []byte
	step          int64 // last difference between the times of two samples
	next          int64 // earliest time of the next sample
}

type outputSample struct {
	time, duration int64
	size           uint32
	key            bool
}

// NewMuxer writes the start of an MP4 file. A video track begins with a key frame, which has its
// parameter sets if it is H.264. The rotation of the first frame is that of the track: a later
// change is not written. An output that is not seekable gets no duration, and the sample
// description of the first frame only.
func NewMuxer(out media.Output, tracks []media.OutputTrack) (media.Muxer, error) {
	m := &muxer{out: out}
	for i, t := range tracks {
		o, err := newOutputTrack(uint32(i)+1, t) //nolint:gosec // few
		if err != nil {
			return nil, err
		}
		if o.video && m.video == nil {
			m.video = o
		}
		m.tracks = append(m.tracks, o)
	}
	_, err := out.Write(initSegment(m.tracks, 0))
	return m, err
}

func newOutputTrack(id uint32, t media.OutputTrack) (*outputTrack, error) {
	if !slices.Contains(Codecs(), t.MIME) {
		return nil, fmt.Errorf("%s cannot be written to MP4", media.CodecName(t.MIME))
	}
	o := &outputTrack{id: id, mime: t.MIME, clockRate: media.OpusClockRate, rotation: t.First.Rotation}
	if t.MIME == webrtc.MimeTypeH264 && codec.AVCDecoderConfig(t.First.Data) == nil {
		return nil, errors.New("the first key frame has no parameter sets, without which H.264 cannot be recorded to .mp4; record to .h264")
	}
	if o.video = media.KindOf(t.MIME) == webrtc.RTPCodecTypeVideo; o.video {
		o.clockRate, o.step = media.VideoClockRate, media.VideoClockRate/30
		o.width, o.height = frameSize(t.First)
		o.entryBytes = entryRoom
	}
	o.entries = [][]byte{sampleEntry(t.MIME, t.First)}
	o.entryBytes += len(o.entries[0])
	return o, nil
}

// WriteFrame implements media.Muxer.
func (m *muxer) WriteFrame(track int, f media.Frame, at time.Duration) error {
	t := m.tracks[track]
	ticks := max(media.DurationToTicks(max(at, 0), t.clockRate), t.next)
	if n := len(t.samples); n > 0 {
		last := &t.samples[n-1]
		t.step = ticks - last.time
		last.duration = t.step
	}
	entry, err := m.describe(t, f)
	if err == nil && m.begun && (entry != t.entry || m.isFull(t, f, at)) {
		err = m.flush()
	}
	if err != nil {
		return err
	}
	t.entry = entry
	if !m.begun {
		m.begun, m.start = true, at
	}
	before := len(t.data)
	if t.mime == webrtc.MimeTypeH264 {
		t.data = codec.AppendLengthPrefixed(t.data, f.Data)
	} else {
		t.data = append(t.data, f.Data...)
	}
	size := len(t.data) - before
	m.bytes += size
	//nolint:gosec // at most media.MaxFrameSize
	t.samples = append(t.samples, outputSample{time: ticks, duration: t.duration(f), size: uint32(size), key: f.Key || !t.video})
	t.next = ticks + 1 // the duration is an estimate
	return nil
}

// duration returns the duration of a frame. That of video is the last difference between two
// frames, until the next one.
func (t *outputTrack) duration(f media.Frame) int64 {
	if t.video {
		return t.step
	}
	return int64(codec.OpusPacketSamples(f.Data))
}

// describe returns the index of the sample description of a frame. A frame of another size, or
// encoded in another way, than all before gets a new one in the start of the file, before it is
// written itself: players read all of them before they play. Without space for it, players have to
// take the change from the frame itself, as most do.
func (m *muxer) describe(t *outputTrack, f media.Frame) (int, error) {
	complete := f.Key && f.Width > 0 && (t.mime != webrtc.MimeTypeH264 || codec.AVCDecoderConfig(f.Data) != nil)
	if !t.video || !complete {
		return t.entry, nil
	}
	entry := sampleEntry(t.mime, f)
	if i := slices.IndexFunc(t.entries, func(e []byte) bool { return bytes.Equal(e, entry) }); i >= 0 {
		return i, nil
	}
	if !m.out.Seekable() || len(entry)+len(slices.Concat(t.entries...)) > t.entryBytes {
		return t.entry, nil
	}
	t.entries = append(t.entries, entry)
	width, height := frameSize(f)
	t.width, t.height = max(t.width, width), max(t.height, height)
	if err := m.out.Patch(0, initSegment(m.tracks, 0)); err != nil {
		return t.entry, err
	}
	return len(t.entries) - 1, nil
}

// isFull reports whether the fragment ends before a frame.
func (m *muxer) isFull(t *outputTrack, f media.Frame, at time.Duration) bool {
	duration := at - m.start
	canBegin := m.video == nil || t == m.video && f.Key
	return canBegin && duration >= fragmentDuration || duration >= maxFragmentDuration || m.bytes >= maxFragmentBytes
}

// flush writes the fragment at once.
func (m *muxer) flush() error {
	m.begun, m.bytes = false, 0
	m.sequence++
	index := moof(m.sequence, m.tracks, 0)
	index = moof(m.sequence, m.tracks, len(index)+8)
	parts := [][]byte{}
	for _, t := range m.tracks {
		parts = append(parts, t.data)
	}
	if _, err := m.out.Write(append(index, box("mdat", parts...)...)); err != nil {
		return err
	}
	for _, t := range m.tracks {
		if n := len(t.samples); n > 0 {
			last := t.samples[n-1]
			m.end = max(m.end, media.TicksToDuration(last.time+last.duration, t.clockRate))
		}
		t.samples, t.data = t.samples[:0], t.data[:0]
	}
	return nil
}

// Finish implements media.Muxer. On a full disk the duration is that of what is in the file.
func (m *muxer) Finish(duration time.Duration) error {
	var err error
	if m.begun {
		err = m.flush()
	}
	return errors.Join(err, m.out.Patch(0, initSegment(m.tracks, min(duration, m.end))))
}
