package source

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
)

const (
	mkvLookAhead = 16      // pictures that are looked at for their order
	mkvHeldBytes = 4 << 20 // of them
)

// mkvReader reads one track of a WebM or Matroska file.
type mkvReader struct {
	matroska
	track   mkvTrack
	clock   uint64 // of the codec
	scale   uint64 // ns
	avc     *codec.AVCC
	isAudio bool

	began   bool
	first   uint64 // time of the first cluster, in units of scale
	cluster uint64
	blocks  int
	last    uint64   // ticks of the latest frame
	step    uint64   // between the latest two
	laced   []sample // of the latest block, not handed out yet
	queue   []sample // read ahead, with memory of their own
}

func openMatroska(r *bufio.Reader, o fileOptions) (sampleReader, webrtc.RTPCodecCapability, error) {
	m := &mkvReader{matroska: matroska{r}, scale: 1_000_000, clock: media.VideoClockRate, isAudio: o.kind == webrtc.RTPCodecTypeAudio}
	if m.isAudio {
		m.clock = media.OpusClockRate
	}
	tracks, err := m.readHead()
	if err != nil {
		return nil, webrtc.RTPCodecCapability{}, err
	}
	capability, err := m.choose(tracks, o.kind)
	if err == nil {
		err = m.lookAhead()
	}
	return m, capability, err
}

// readHead reads up to the first cluster.
func (m *mkvReader) readHead() (tracks []mkvTrack, err error) {
	for {
		id, size, err := m.element()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%w before the first picture or sound", media.ErrTruncated)
		}
		if err != nil {
			return nil, err
		}
		switch id {
		case mkvSegment:
		case mkvInfo, mkvTracks:
			content, err := m.read("the header", size, mkvMaxHeader)
			if err != nil {
				return nil, err
			}
			children(content, func(id uint32, content []byte) {
				switch id {
				case mkvTimestampScale:
					m.scale = mkvUint(content)
				case mkvTrackEntry:
					var t mkvTrack
					t.read(content)
					tracks = append(tracks, t)
				}
			})
		case mkvCluster:
			if len(tracks) == 0 {
				return nil, errors.New("the Matroska file does not say what its tracks are")
			}
			if m.scale == 0 || m.scale > 1_000_000_000 {
				return nil, fmt.Errorf("the Matroska file counts time in units of %d ns, which makes no sense", m.scale)
			}
			return tracks, nil
		default:
			if err := m.skip(size); err != nil {
				return nil, err
			}
		}
	}
}

// choose takes the first track of a kind.
func (m *mkvReader) choose(tracks []mkvTrack, kind webrtc.RTPCodecType) (capability webrtc.RTPCodecCapability, err error) {
	for _, t := range tracks {
		if t.kind == mkvKind(kind) {
			m.track = t
			return m.prepare()
		}
	}
	return capability, fmt.Errorf("there is no %s in it", kind)
}

// prepare looks at the codec of the track.
func (m *mkvReader) prepare() (capability webrtc.RTPCodecCapability, err error) {
	t := m.track
	if t.encoded {
		return capability, errors.New("its track is compressed or encrypted by Matroska; copy it to a plain one: ffmpeg -i FILE -c copy out.webm")
	}
	capability.ClockRate = media.VideoClockRate
	switch t.codec {
	case "V_VP8":
		capability.MimeType = webrtc.MimeTypeVP8
	case "V_VP9":
		capability.MimeType = webrtc.MimeTypeVP9
	case "V_AV1":
		capability.MimeType = webrtc.MimeTypeAV1
	case "V_MPEG4/ISO/AVC":
		if m.avc, err = codec.ParseAVCC(t.private); err == nil {
			capability = m.avc.Capability()
		}
	case "A_OPUS":
		capability = codec.OpusCapability()
		if len(t.private) > 0 {
			err = codec.CheckOpusHead(t.private)
		}
	default:
		err = codec.UnsupportedCodec(t.codec)
	}
	return capability, err
}

// lookAhead reads the first pictures to see whether they are in order, which the header does not tell. Only H.264 has
// them in another one.
func (m *mkvReader) lookAhead() error {
	const baseline = 66
	if m.avc == nil || m.avc.Profile[0] == baseline {
		return nil
	}
	for held := 0; len(m.queue) < mkvLookAhead && held < mkvHeldBytes; {
		s, err := m.frame()
		if errors.Is(err, codec.ErrBFrames) {
			return err
		}
		if err != nil {
			return nil // what is wrong there is told when it is its turn
		}
		s.data = append([]byte(nil), s.data...)
		m.queue, held = append(m.queue, s), held+len(s.data)
	}
	return nil
}

func (m *mkvReader) next() (sample, error) {
	if len(m.queue) > 0 {
		s := m.queue[0]
		m.queue = m.queue[1:]
		return s, nil
	}
	return m.frame()
}

// frame reads up to the next frame of the track.
func (m *mkvReader) frame() (sample, error) {
	for len(m.laced) == 0 {
		id, size, err := m.element()
		if err != nil {
			return sample{}, err
		}
		switch id {
		case mkvSegment, mkvCluster, mkvBlockGroup:
		case mkvTimestamp:
			err = m.readTimestamp(size)
		case mkvSimpleBlock, mkvBlock:
			err = m.readBlock(size)
		case mkvTracks, mkvHeader:
			return sample{}, io.EOF // another file follows
		default:
			err = m.skip(size)
		}
		if err != nil {
			return sample{}, err
		}
	}
	s := m.laced[0]
	m.laced = m.laced[1:]
	return s, nil
}

func (m *mkvReader) readTimestamp(size uint64) error {
	content, err := m.read("the time of a cluster", size, 8)
	m.cluster = mkvUint(content)
	if !m.began {
		m.began, m.first = true, m.cluster
	}
	return err
}

// readBlock reads a block of any track (RFC 9559 section 10).
func (m *mkvReader) readBlock(size uint64) error {
	m.blocks++
	m.began = true
	what := fmt.Sprintf("block %d", m.blocks)
	if size > media.MaxFrameSize || size < 4 {
		return fmt.Errorf("%s claims %s; the file is broken", what, mkvSize(size))
	}
	number, n, err := m.vint(8, false)
	if err != nil {
		return media.ReadError(what, err)
	}
	left := size - uint64(n) //nolint:gosec // at most 8
	if number != m.track.number || left < 3 {
		return m.skip(left)
	}
	block, err := m.read(what, left, media.MaxFrameSize)
	if err != nil {
		return err
	}
	frames, err := unlace(block[2]>>1&3, block[3:])
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	at, err := m.ticks(int16(binary.BigEndian.Uint16(block))) //nolint:gosec // it is signed
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	for _, data := range frames {
		s, err := m.sample(data, at)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if len(s.data) > 0 {
			m.laced = append(m.laced, s)
			at += s.duration // the time of a block is that of its first frame
		}
	}
	return nil
}

// ticks is the time of a block since the first cluster, in units of the clock rate.
func (m *mkvReader) ticks(relative int16) (uint64, error) {
	if m.cluster < m.first || m.cluster-m.first > 1<<62/m.scale {
		return 0, errors.New("time goes back")
	}
	ns := int64((m.cluster-m.first)*m.scale) + int64(relative)*int64(m.scale) //nolint:gosec // bounded above
	second := uint64(1_000_000_000)
	at := uint64(max(0, ns))
	at = at/second*m.clock + (at%second*m.clock+second/2)/second
	switch {
	case at < m.last && m.avc != nil:
		return 0, codec.ErrBFrames
	case at < m.last && !m.isAudio:
		return 0, errors.New("time goes back")
	case at > m.last+media.MaxSampleGap*m.clock:
		return 0, errors.New("time jumps by more than an hour")
	case at > m.last:
		m.step = at - m.last
	}
	m.last = max(at, m.last)
	return m.last, nil
}

func (m *mkvReader) sample(data []byte, at uint64) (s sample, err error) {
	s = sample{data: data, at: at, duration: max(1, m.step)}
	switch {
	case m.isAudio:
		if s.duration = uint64(codec.OpusPacketSamples(data)); s.duration == 0 && len(data) > 0 { //nolint:gosec // at most 5760
			err = errors.New("it is not Opus")
		}
	case m.avc != nil:
		s.data, err = m.avc.ToAnnexB(data)
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
		v, n := vintOf(data, 8, false)
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
