package matroska

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
)

const (
	maxLookAheadFrames = 16
	maxLookAheadBytes  = 4 << 20
)

// demuxer reads the tracks of a WebM or Matroska file.
type demuxer struct {
	ebmlReader
	scale  uint64 // unit of the times in the file in ns
	tracks []*track

	began   bool
	first   uint64 // time of the first cluster, in units of scale
	cluster uint64 // time of the latest one
	blocks  int    // that were read or skipped
	queue   []media.Sample
	err     error // after queue
}

// track is one track of a file.
type track struct {
	media.Track
	index        int
	number, kind uint64
	codecID      string
	private      []byte
	encoded      bool // compressed or encrypted by Matroska
	selected     bool
	avc          *codec.AVCC // nil unless the codec is H.264
	last         uint64      // time of the latest sample, in units of the clock rate
	step         uint64      // between the latest two
}

// TrackType (RFC 9559 section 5.1.4.1.3).
const (
	trackTypeVideo = 1
	trackTypeAudio = 2
)

// NewDemuxer reads a file up to its first cluster.
func NewDemuxer(in media.Input) (media.Demuxer, error) {
	d := &demuxer{ebmlReader: ebmlReader{in.Reader}, scale: 1_000_000}
	return d, d.readHeader()
}

// readHeader reads up to the first cluster.
func (d *demuxer) readHeader() error {
	for {
		id, size, err := d.element()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%w before the first frame", media.ErrTruncated)
		}
		if err != nil {
			return err
		}
		switch id {
		case idSegment:
		case idInfo, idTracks:
			content, err := d.read("the header", size, maxHeaderSize)
			if err != nil {
				return err
			}
			children(content, func(id uint32, content []byte) {
				switch id {
				case idTimestampScale:
					d.scale = parseUint(content)
				case idTrackEntry:
					d.addTrack(content)
				}
			})
		case idCluster:
			if len(d.tracks) == 0 {
				return errors.New("the Matroska file does not say what its tracks are")
			}
			if d.scale == 0 || d.scale > 1_000_000_000 {
				return fmt.Errorf("the Matroska file has an invalid TimestampScale: got %d ns, want 1 to 1000000000", d.scale)
			}
			return nil
		default:
			if err := d.skip(size); err != nil {
				return err
			}
		}
	}
}

// addTrack reads a TrackEntry. Tracks of other types than audio and video are left out.
func (d *demuxer) addTrack(content []byte) {
	t := &track{index: len(d.tracks)}
	children(content, func(id uint32, content []byte) {
		switch id {
		case idTrackNumber:
			t.number = parseUint(content)
		case idTrackType:
			t.kind = parseUint(content)
		case idCodecID:
			t.codecID = string(content)
		case idCodecPrivate:
			t.private = content
		case idEncodings:
			t.encoded = true
		}
	})
	switch t.kind {
	case trackTypeVideo:
		t.Codec = webrtc.RTPCodecCapability{MimeType: "video/", ClockRate: media.VideoClockRate}
	case trackTypeAudio:
		t.Codec = webrtc.RTPCodecCapability{MimeType: "audio/", ClockRate: media.OpusClockRate}
	default:
		return
	}
	t.Err = t.setCodec()
	d.tracks = append(d.tracks, t)
}

// setCodec sets the codec of the track, or returns why it cannot be sent.
func (t *track) setCodec() (err error) {
	if t.encoded {
		return errors.New("the track is compressed or encrypted by Matroska; copy it to a plain one: ffmpeg -i FILE -c copy OUT.mkv")
	}
	switch t.codecID {
	case "V_VP8":
		t.Codec.MimeType = webrtc.MimeTypeVP8
	case "V_VP9":
		t.Codec.MimeType = webrtc.MimeTypeVP9
	case "V_AV1":
		t.Codec.MimeType = webrtc.MimeTypeAV1
	case "V_MPEG4/ISO/AVC":
		if t.avc, err = codec.ParseAVCC(t.private); err != nil {
			return err
		}
		t.Codec = t.avc.Capability()
	case "A_OPUS":
		t.Codec = codec.OpusCapability()
		if len(t.private) > 0 {
			_, err := codec.ParseOpusHead(t.private)
			return err
		}
	default:
		return codec.UnsupportedCodec(t.codecID)
	}
	return nil
}

// Tracks implements media.Demuxer.
func (d *demuxer) Tracks() []media.Track {
	all := make([]media.Track, len(d.tracks))
	for i, t := range d.tracks {
		all[i] = t.Track
	}
	return all
}

// Select implements media.Demuxer. It reads the first frames to find B-frames.
func (d *demuxer) Select(tracks ...int) error {
	for _, i := range tracks {
		d.tracks[i].selected = true
	}
	return d.lookAhead()
}

// lookAhead reads the first frames to see whether they are in output order, which the header does not tell. Only H.264
// has them in another one.
func (d *demuxer) lookAhead() error {
	const baseline = 66
	var t *track
	for _, other := range d.tracks {
		if other.selected && other.avc != nil && other.avc.Profile[0] != baseline {
			t = other
		}
	}
	if t == nil {
		return nil
	}
	frames, bytes := 0, 0
	for seen := 0; d.err == nil && frames < maxLookAheadFrames && bytes < maxLookAheadBytes; {
		d.err = d.readElement()
		for ; seen < len(d.queue); seen++ {
			bytes += len(d.queue[seen].Data)
			if d.queue[seen].Track == t.index {
				frames++
			}
		}
	}
	if errors.Is(d.err, codec.ErrBFrames) {
		return d.err
	}
	return nil // any other error is returned after the frames before it
}

// Next implements media.Demuxer.
func (d *demuxer) Next() (media.Sample, error) {
	for len(d.queue) == 0 {
		if d.err != nil {
			return media.Sample{}, d.err
		}
		d.err = d.readElement()
	}
	s := d.queue[0]
	d.queue = d.queue[1:]
	return s, nil
}

// readElement reads one element, and appends the samples of a block to the queue.
func (d *demuxer) readElement() error {
	id, size, err := d.element()
	if err != nil {
		return err
	}
	switch id {
	case idSegment, idCluster, idBlockGroup:
		return nil
	case idTimestamp:
		return d.readTimestamp(size)
	case idSimpleBlock, idBlock:
		return d.readBlock(size)
	case idTracks, idEBML:
		return io.EOF // another file follows
	}
	return d.skip(size)
}

func (d *demuxer) readTimestamp(size uint64) error {
	content, err := d.read("the time of a cluster", size, 8)
	d.cluster = parseUint(content)
	if !d.began {
		d.began, d.first = true, d.cluster
	}
	return err
}

// readBlock reads a block of a selected track (RFC 9559 section 10) and skips one of another track.
func (d *demuxer) readBlock(size uint64) error {
	d.blocks++
	d.began = true
	what := fmt.Sprintf("block %d", d.blocks)
	if size < 4 {
		return fmt.Errorf("%s claims %s; the file is broken", what, sizeName(size))
	}
	number, n, err := d.vint(8, false)
	if err != nil {
		return media.ReadError(what, err)
	}
	left := size - uint64(n) //nolint:gosec // at most 8
	t := d.findTrack(number)
	if t == nil && size != unknownSize {
		return d.skip(left)
	}
	if size > media.MaxFrameSize || left < 3 {
		return fmt.Errorf("%s claims %s; the file is broken", what, sizeName(size))
	}
	block, err := d.read(what, left, media.MaxFrameSize)
	if err != nil {
		return err
	}
	frames, err := unlace(block[2]>>1&3, block[3:])
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	at, err := t.setTime(d.time(int16(binary.BigEndian.Uint16(block)))) //nolint:gosec // it is signed
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	for _, data := range frames {
		s, err := t.sample(data, at)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if len(s.Data) > 0 {
			d.queue = append(d.queue, s)
			at += s.Duration // the time of a block is that of its first frame
		}
	}
	return nil
}

// findTrack returns the selected track with a number, nil if there is none.
func (d *demuxer) findTrack(number uint64) *track {
	for _, t := range d.tracks {
		if t.selected && t.number == number {
			return t
		}
	}
	return nil
}

// time returns the time of a block since the first cluster in ns; ok is false if it is out of range.
func (d *demuxer) time(relative int16) (ns uint64, ok bool) {
	if d.cluster < d.first || d.cluster-d.first > 1<<62/d.scale {
		return 0, false
	}
	t := int64((d.cluster-d.first)*d.scale) + int64(relative)*int64(d.scale) //nolint:gosec // bounded above
	return uint64(max(0, t)), true                                           //nolint:gosec // not negative
}

// setTime converts the time of a block to units of the clock rate, and checks that time goes on.
func (t *track) setTime(ns uint64, ok bool) (uint64, error) {
	const second = 1_000_000_000
	clock := uint64(t.Codec.ClockRate)
	at := ns/second*clock + (ns%second*clock+second/2)/second
	switch {
	case !ok:
		return 0, errors.New("time goes back")
	case at < t.last && t.avc != nil:
		return 0, codec.ErrBFrames
	case at < t.last && t.kind == trackTypeVideo:
		return 0, errors.New("time goes back")
	case at > t.last+media.MaxSampleGap*clock:
		return 0, errors.New("time jumps by more than an hour")
	case at > t.last:
		t.step = at - t.last
	}
	t.last = max(at, t.last)
	return t.last, nil
}

// sample returns a frame as a sample with memory of its own.
func (t *track) sample(data []byte, at uint64) (s media.Sample, err error) {
	s = media.Sample{Track: t.index, Data: data, Time: at, Duration: max(1, t.step)}
	switch {
	case t.kind == trackTypeAudio:
		if s.Duration = uint64(codec.OpusPacketSamples(data)); s.Duration == 0 && len(data) > 0 { //nolint:gosec // at most 5760
			err = errors.New("it is not Opus")
		}
	case t.avc != nil:
		s.Data, err = t.avc.ToAnnexB(data)
		s.Data = bytes.Clone(s.Data)
	}
	return s, err
}

// unlace cuts a block into its frames (RFC 9559 section 10.3).
func unlace(lacing byte, data []byte) ([][]byte, error) {
	const none, xiph, fixed = 0, 1, 2
	if lacing == none {
		return [][]byte{data}, nil
	}
	bad := errors.New("its frames do not fit into it")
	if len(data) == 0 {
		return nil, bad
	}
	count, data := int(data[0])+1, data[1:]
	sizes := make([]int, count)
	var ok bool
	switch lacing {
	case fixed:
		for i := range sizes {
			sizes[i] = len(data) / count
		}
		ok = len(data)%count == 0
	case xiph:
		data, ok = xiphSizes(data, sizes)
	default:
		data, ok = ebmlSizes(data, sizes)
	}
	if !ok {
		return nil, bad
	}
	var frames [][]byte
	for _, size := range sizes {
		if size < 0 || size > len(data) {
			return nil, bad
		}
		frames, data = append(frames, data[:size:size]), data[size:]
	}
	return frames, nil
}

// xiphSizes reads all sizes but the last, which is what is left.
func xiphSizes(data []byte, sizes []int) ([]byte, bool) {
	total := 0
	for i := range sizes[:len(sizes)-1] {
		for {
			if len(data) == 0 {
				return nil, false
			}
			b := data[0]
			data = data[1:]
			sizes[i] += int(b)
			if b < 255 {
				break
			}
		}
		total += sizes[i]
	}
	sizes[len(sizes)-1] = len(data) - total
	return data, true
}

// ebmlSizes reads the first size and then differences.
func ebmlSizes(data []byte, sizes []int) ([]byte, bool) {
	total := 0
	for i := range sizes[:len(sizes)-1] {
		v, n := parseVint(data, 8, false)
		if n == 0 || v > media.MaxFrameSize && i == 0 {
			return nil, false
		}
		data = data[n:]
		if i == 0 {
			sizes[0] = int(v) //nolint:gosec // bounded
		} else {
			bias := int64(1)<<(7*n-1) - 1
			difference := int64(v) - bias //nolint:gosec // below 1<<56
			if difference > media.MaxFrameSize || difference < -media.MaxFrameSize {
				return nil, false
			}
			sizes[i] = sizes[i-1] + int(difference)
		}
		if total += sizes[i]; total > media.MaxFrameSize || sizes[i] < 0 {
			return nil, false
		}
	}
	sizes[len(sizes)-1] = len(data) - total
	return data, true
}
