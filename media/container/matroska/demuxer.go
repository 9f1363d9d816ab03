package matroska

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
)

const (
	nanoseconds = 1_000_000_000 // in a second

	maxLookAheadFrames  = 16
	maxLookAheadBytes   = 4 << 20
	maxLookAheadSeconds = 5  // of the times in the file
	sampleOverhead      = 64 // bytes of a sample in the queue, beside its data
	maxCodecPrivate     = 64 << 10
	maxCodecDelay       = nanoseconds // that of Opus is 80 ms at most in practice
)

// demuxer reads the tracks of a WebM or Matroska file.
//
// The receiver of RTP plays the pre-skip of Opus, which a player of the file discards, so a block
// is sent earlier by the CodecDelay of its track (RFC 9559 section 5.1.4.1.25). DiscardPadding is
// not read: the end of the last packet is played.
type demuxer struct {
	ebmlReader
	scale  uint64 // unit of the times in the file in ns
	delay  uint64 // longest CodecDelay of the tracks in ns
	tracks []*track

	began   bool
	first   uint64 // time of the first cluster, in units of scale
	cluster uint64 // time of the latest cluster, in units of scale
	blocks  int    // number of the latest block
	probing bool   // before Select, while all tracks are read
	queue   []media.Sample
	err     error // returned after the samples of queue
}

// track is one track of a file.
type track struct {
	media.Track
	index        int
	number, kind uint64
	delay        uint64 // CodecDelay in ns
	codecID      string
	private      []byte
	encoded      bool // compressed or encrypted by Matroska
	selected     bool
	avc          *codec.AVCC          // of H.264 with a CodecPrivate
	annexB       *codec.ParameterSets // of H.264 without one, whose blocks are byte streams
	lookAhead    int                  // frames that Select reads to find out whether the track can be sent
	frames       int                  // frames that were read
	checked      bool                 // the first frame was checked
	last         uint64               // time of the latest sample, in units of the clock rate
	step         uint64               // between the latest two samples; DefaultDuration before there are two
}

// TrackType (RFC 9559 section 5.1.4.1.3).
const (
	trackTypeVideo = 1
	trackTypeAudio = 2
)

// NewDemuxer reads a file up to its first cluster, or the first frame of H.264 that has no
// CodecPrivate.
func NewDemuxer(in media.Input) (media.Demuxer, error) {
	d := &demuxer{ebmlReader: ebmlReader{in.Reader}, scale: 1_000_000}
	if err := d.readHeader(); err != nil {
		return nil, err
	}
	for _, t := range d.tracks {
		if t.annexB != nil {
			d.probe()
			break
		}
	}
	return d, nil
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
				return errors.New("invalid Matroska file: no tracks before the first cluster")
			}
			if d.scale == 0 || d.scale > nanoseconds {
				return fmt.Errorf("invalid TimestampScale in the Matroska file: got %d ns, want 1 to %d", d.scale, nanoseconds)
			}
			return nil
		default:
			if err := d.skip(size); err != nil {
				return err
			}
		}
	}
}

// addTrack parses a TrackEntry. It ignores tracks of other types than audio and video, and those
// above maxTracks.
func (d *demuxer) addTrack(content []byte) {
	if len(d.tracks) == maxTracks {
		return
	}
	t := &track{index: len(d.tracks)}
	defaultDuration := uint64(nanoseconds / 30)
	children(content, func(id uint32, content []byte) {
		switch id {
		case idTrackNumber:
			t.number = parseUint(content)
		case idTrackType:
			t.kind = parseUint(content)
		case idCodecID:
			// A string may be padded with zeros (RFC 8794 section 7.4); GStreamer does that.
			t.codecID = strings.TrimRight(string(content), "\x00")
		case idCodecPrivate:
			t.private = bytes.Clone(content[:min(len(content), maxCodecPrivate)])
		case idContentEncodings:
			t.encoded = true
		case idDefaultDuration:
			defaultDuration = parseUint(content)
		case idCodecDelay:
			t.delay = min(parseUint(content), maxCodecDelay)
		case idVideo:
			t.Rotation = rotation(content)
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
	if defaultDuration <= media.MaxSampleGap*nanoseconds {
		t.step = ticks(defaultDuration, t.Codec.ClockRate)
	}
	t.Err = t.setCodec()
	d.delay = max(d.delay, t.delay)
	d.tracks = append(d.tracks, t)
}

// rotation returns the rotation of a Video element, 0 if it is no multiple of 90 degrees.
func rotation(video []byte) (clockwise int) {
	children(video, func(id uint32, content []byte) {
		if id != idProjection {
			return
		}
		children(content, func(id uint32, content []byte) {
			if roll := parseFloat(content); id == idProjectionPoseRoll && roll >= -180 && roll <= 180 {
				clockwise = (360 - int(math.Round(roll))) % 360
			}
		})
	})
	if clockwise%90 != 0 {
		return 0
	}
	return clockwise
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
		t.Codec.MimeType, t.lookAhead = webrtc.MimeTypeVP9, 1
	case "V_AV1":
		t.Codec.MimeType = webrtc.MimeTypeAV1
		if len(t.private) <= 4 { // there is no sequence header in it
			t.lookAhead = 1
			return nil
		}
		return codec.CheckSendable(webrtc.MimeTypeAV1, t.private[4:])
	case "V_MPEG4/ISO/AVC":
		return t.setAVC()
	case "A_OPUS":
		t.Codec = codec.OpusCapability()
		if len(t.private) > 0 {
			_, err = codec.ParseOpusHead(t.private)
			return err
		}
	default:
		return codec.UnsupportedCodec(t.codecID)
	}
	return nil
}

// setAVC sets the codec of a track of H.264.
func (t *track) setAVC() (err error) {
	t.Codec.MimeType = webrtc.MimeTypeH264
	if len(t.private) == 0 { // as MediaRecorder of Chromium writes it
		t.annexB = &codec.ParameterSets{}
		return nil
	}
	if t.avc, err = codec.ParseAVCC(t.private); err != nil {
		return err
	}
	t.Codec = t.avc.Capability()
	return t.setSPS(t.avc.SPS())
}

// setSPS checks the sequence parameter set of H.264. One that cannot be parsed is left to the
// decoder.
func (t *track) setSPS(nal []byte) error {
	sps, err := codec.ParseSPS(nal)
	if err != nil || sps.Reordered {
		t.lookAhead = maxLookAheadFrames
	}
	if err != nil {
		return nil
	}
	return sps.CheckSendable()
}

// Tracks implements media.Demuxer.
func (d *demuxer) Tracks() []media.Track {
	all := make([]media.Track, len(d.tracks))
	for i, t := range d.tracks {
		all[i] = t.Track
	}
	return all
}

// Select implements media.Demuxer. It reads the first frames of video whose codec does not rule out
// what browsers cannot decode: other chroma formats than 4:2:0, other bit depths than 8, and
// B-frames.
func (d *demuxer) Select(tracks ...int) error {
	for i, t := range d.tracks {
		t.selected = slices.Contains(tracks, i)
	}
	d.probing = false
	d.queue = slices.DeleteFunc(d.queue, func(s media.Sample) bool { return !d.tracks[s.Track].selected })
	err := d.lookAhead(func() bool { return !slices.ContainsFunc(d.tracks, (*track).undecided) })
	if errors.Is(err, codec.ErrBFrames) {
		return codec.ErrBFrames
	}
	for _, s := range d.queue {
		if t := d.tracks[s.Track]; !t.checked {
			t.checked = true
			if err := codec.CheckSendable(t.Codec.MimeType, s.Data); err != nil {
				return err
			}
		}
	}
	return nil // an error of lookAhead is returned after the frames before it
}

// probe reads the first frame of H.264 that has no CodecPrivate, whose parameter sets have the
// codec.
func (d *demuxer) probe() {
	d.probing = true
	for _, t := range d.tracks {
		t.selected = t.Err == nil
	}
	missing := func(t *track) bool { return t.annexB != nil && t.Err == nil && t.annexB.SPS == nil }
	_ = d.lookAhead(func() bool { return !slices.ContainsFunc(d.tracks, missing) })
	for _, t := range d.tracks {
		switch {
		case missing(t):
			t.Err = errors.New("no parameter sets (SPS) of H.264, neither in the header of the track nor in its first frames")
		case t.annexB != nil && t.Err == nil:
			sps := t.annexB.SPS
			t.Codec = codec.H264Capability([3]byte(sps[1:4]))
			t.Err = t.setSPS(sps)
		}
	}
}

// undecided reports whether more frames have to be looked at.
func (t *track) undecided() bool { return t.selected && t.frames < t.lookAhead }

// lookAhead reads frames into the queue until enough returns true, up to the limits. It returns the
// error that ended it.
func (d *demuxer) lookAhead(enough func() bool) error {
	size := 0
	for _, s := range d.queue {
		size += len(s.Data) + sampleOverhead
	}
	for d.err == nil && !enough() && size < maxLookAheadBytes {
		before := len(d.queue)
		d.err = d.readElement()
		for _, s := range d.queue[before:] {
			size += len(s.Data) + sampleOverhead
			if s.Time > maxLookAheadSeconds*uint64(d.tracks[s.Track].Codec.ClockRate) {
				return nil
			}
		}
	}
	return d.err
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

// readElement reads one element. It appends the samples of a block to the queue.
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

// readTimestamp reads the time of a cluster.
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
		err := fmt.Errorf("%s claims %s; the file is broken", what, sizeName(size))
		if d.probing && size != unknownSize {
			t.selected, t.Err = false, err
			return d.skip(left)
		}
		return err
	}
	block, err := d.read(what, left, media.MaxFrameSize)
	if err != nil {
		return err
	}
	frames, err := unlace(block[2]>>1&3, block[3:])
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	ns, ok := d.time(int16(binary.BigEndian.Uint16(block))) //nolint:gosec // it is signed
	if !ok {
		return fmt.Errorf("%s: time goes back", what)
	}
	at, err := t.setTime(ns + d.delay - t.delay)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	for _, data := range frames {
		s, err := t.sample(data, at)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if len(s.Data) > 0 {
			t.frames++
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

// time returns the time of a block since the first cluster in ns; ok is false if it is out of
// range.
func (d *demuxer) time(relative int16) (ns uint64, ok bool) {
	if d.cluster < d.first || d.cluster-d.first > 1<<62/d.scale {
		return 0, false
	}
	t := int64((d.cluster-d.first)*d.scale) + int64(relative)*int64(d.scale) //nolint:gosec // bounded above
	return uint64(max(0, t)), true                                           //nolint:gosec // not negative
}

// setTime converts the time of a block to units of the clock rate, and checks that time goes on.
func (t *track) setTime(ns uint64) (uint64, error) {
	at := ticks(ns, t.Codec.ClockRate)
	switch {
	case at < t.last && t.Codec.MimeType == webrtc.MimeTypeH264:
		return 0, codec.ErrBFrames
	case at < t.last && t.kind == trackTypeVideo:
		return 0, errors.New("time goes back")
	case at > t.last+media.MaxSampleGap*uint64(t.Codec.ClockRate):
		return 0, errors.New("time jumps by more than an hour")
	case at > t.last:
		t.step = at - t.last
	}
	t.last = max(at, t.last)
	return t.last, nil
}

// ticks converts ns to units of a clock rate.
func ticks(ns uint64, clockRate uint32) uint64 {
	clock := uint64(clockRate)
	return ns/nanoseconds*clock + (ns%nanoseconds*clock+nanoseconds/2)/nanoseconds
}

// sample returns the sample of a frame. Its data stays valid.
func (t *track) sample(data []byte, at uint64) (s media.Sample, err error) {
	s = media.Sample{Track: t.index, Data: data, Time: at, Duration: max(1, t.step)}
	switch {
	case t.kind == trackTypeAudio:
		if s.Duration = uint64(codec.OpusPacketSamples(data)); s.Duration == 0 && len(data) > 0 { //nolint:gosec // at most 5760
			err = errors.New("invalid Opus packet")
		}
	case t.Codec.MimeType == webrtc.MimeTypeAV1:
		s.Data = bytes.TrimPrefix(data, codec.AV1TemporalDelimiter())
	case t.avc != nil:
		s.Data, err = t.avc.ToAnnexB(data)
		s.Data = bytes.Clone(s.Data)
	case t.annexB != nil:
		if s.Data = t.annexB.AppendAccessUnit(nil, codec.NALUnits(data)); len(s.Data) == 0 && len(data) > 0 {
			err = errors.New("H.264 has neither a CodecPrivate nor start codes")
		}
	}
	return s, err
}
