package matroska

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
)

const (
	minClusterDuration = time.Second // then a key frame begins the next cluster
	maxClusterDuration = 5 * time.Second
	maxClusterBytes    = 4 << 20
	maxBlockOffset     = math.MaxInt16 // ms from the time of the cluster (RFC 9559 section 10.1)
	seekHeadSize       = 160           // bytes reserved for three entries
	maxCues            = 100_000       // a day and more
	maxTracks          = 126           // whose numbers take one byte
	opusSeekPreRoll    = 80 * time.Millisecond
)

// WebMCodecs returns the MIME types of the codecs that a WebM file holds.
func WebMCodecs() []string {
	return []string{webrtc.MimeTypeVP8, webrtc.MimeTypeVP9, webrtc.MimeTypeAV1, webrtc.MimeTypeOpus}
}

// Codecs returns the MIME types of the codecs that a Matroska file holds: those of WebM and some
// more.
func Codecs() []string {
	return append(WebMCodecs(), webrtc.MimeTypeH264, webrtc.MimeTypePCMU, webrtc.MimeTypePCMA)
}

// muxer writes a file from front to back. While it is written the segment and the last cluster have
// an unknown size, which players take as "up to the end", so that a file that is never finished
// plays. Finish patches the sizes, the duration and the position of the index.
type muxer struct {
	out       media.Output
	mimes     []string // of the tracks
	cueTrack  int      // index of the track whose key frames are in the index: the first video track, or the first one
	segment   int64    // offset of the content of the segment in the file
	info      int64    // offset in the segment
	tracks    int64    // offset in the segment
	duration  int64    // offset of the element that Duration replaces in the file
	cluster   int64    // offset of the latest cluster in the file, 0 before the first one
	clusterAt time.Duration
	cues      []cue
	buffer    []byte
}

// cue is an entry of the index: the cluster that begins with a key frame.
type cue struct {
	at     time.Duration
	offset int64 // of the cluster in the segment
}

// NewMuxer writes the header of a WebM file, or of a Matroska file if a codec is not one of
// WebMCodecs.
func NewMuxer(out media.Output, tracks []media.OutputTrack) (media.Muxer, error) {
	if len(tracks) > maxTracks {
		return nil, fmt.Errorf("a Matroska file holds %d tracks, got %d", maxTracks, len(tracks))
	}
	m := &muxer{out: out}
	docType := "webm"
	var entries []byte
	for i, t := range tracks {
		if media.KindOf(t.MIME) == webrtc.RTPCodecTypeVideo && (i == 0 || media.KindOf(tracks[m.cueTrack].MIME) != webrtc.RTPCodecTypeVideo) {
			m.cueTrack = i
		}
		if !slices.Contains(WebMCodecs(), t.MIME) {
			docType = "matroska"
		}
		entry, err := trackEntry(i, t)
		if err != nil {
			return nil, err
		}
		m.mimes = append(m.mimes, t.MIME)
		entries = appendElement(entries, idTrackEntry, entry)
	}
	return m, m.writeHeader(docType, entries)
}

// trackNumber returns the number in the file of the track with an index.
func trackNumber(index int) uint64 { return uint64(index) + 1 } //nolint:gosec // not negative

// trackEntry returns the content of a TrackEntry.
func trackEntry(index int, t media.OutputTrack) ([]byte, error) {
	number := trackNumber(index)
	b := appendUint(nil, idTrackNumber, number)
	b = appendUint(b, idTrackUID, number)
	b = appendUint(b, idFlagLacing, 0)
	b = appendElement(b, idLanguage, []byte("und"))
	codecID, private, err := codecPrivate(t)
	if err != nil {
		return nil, err
	}
	b = appendElement(b, idCodecID, []byte(codecID))
	if private != nil {
		b = appendElement(b, idCodecPrivate, private)
	}
	if media.KindOf(t.MIME) == webrtc.RTPCodecTypeVideo {
		b = appendUint(b, idTrackType, trackTypeVideo)
		return appendElement(b, idVideo, videoSettings(t.First)), nil
	}
	b = appendUint(b, idTrackType, trackTypeAudio)
	rate, channels := float64(g711ClockRate), uint64(1)
	if t.MIME == webrtc.MimeTypeOpus {
		rate, channels = media.OpusClockRate, 2
		b = appendUint(b, idSeekPreRoll, uint64(opusSeekPreRoll))
	}
	audio := appendFloat(nil, idSamplingFrequency, rate)
	return appendElement(b, idAudio, appendUint(audio, idChannels, channels)), nil
}

// videoSettings returns the content of a Video element.
func videoSettings(f media.Frame) []byte {
	// A key frame of AV1 or VP9 whose size cannot be read must not end the recording.
	b := appendUint(nil, idPixelWidth, uint64(max(1, f.Width))) //nolint:gosec // positive
	b = appendUint(b, idPixelHeight, uint64(max(1, f.Height)))  //nolint:gosec // positive
	if f.Rotation == 0 {
		return b
	}
	roll := -f.Rotation // counter-clockwise
	if roll < -180 {
		roll += 360
	}
	projection := appendUint(nil, idProjectionType, 0) // rectangular
	projection = appendFloat(projection, idProjectionPoseRoll, float64(roll))
	return appendElement(b, idProjection, projection)
}

// codecPrivate returns the CodecID of a track and its CodecPrivate, nil if it has none.
func codecPrivate(t media.OutputTrack) (codecID string, private []byte, err error) {
	switch t.MIME {
	case webrtc.MimeTypeVP8:
		return "V_VP8", nil, nil
	case webrtc.MimeTypeVP9:
		return "V_VP9", nil, nil
	case webrtc.MimeTypeAV1:
		return "V_AV1", codec.AV1DecoderConfig(t.First.Data), nil
	case webrtc.MimeTypeH264:
		if private = codec.AVCDecoderConfig(t.First.Data); private == nil {
			err = errors.New("the first frame of H.264 has no parameter sets")
		}
		return "V_MPEG4/ISO/AVC", private, err
	case webrtc.MimeTypeOpus:
		return "A_OPUS", codec.NewOpusHead(), nil
	case webrtc.MimeTypePCMU:
		return "A_MS/ACM", waveFormat(waveFormatMuLaw), nil
	case webrtc.MimeTypePCMA:
		return "A_MS/ACM", waveFormat(waveFormatALaw), nil
	}
	return "", nil, fmt.Errorf("a Matroska file does not hold %s", media.CodecName(t.MIME))
}

// Format tags of WAVEFORMATEX (RFC 2361).
const (
	waveFormatALaw  = 6
	waveFormatMuLaw = 7
)

const g711ClockRate = 8000

// waveFormat returns the WAVEFORMATEX of G.711 with one channel.
func waveFormat(tag uint16) []byte {
	le := binary.LittleEndian
	b := le.AppendUint16(nil, tag)
	b = le.AppendUint16(b, 1)             // channels
	b = le.AppendUint32(b, g711ClockRate) // samples per second
	b = le.AppendUint32(b, g711ClockRate) // bytes per second
	b = le.AppendUint16(b, 1)             // bytes per sample of all channels
	b = le.AppendUint16(b, 8)             // bits per sample
	return le.AppendUint16(b, 0)          // bytes that follow
}

// writeHeader writes everything before the first cluster, with room for what Finish patches.
func (m *muxer) writeHeader(docType string, entries []byte) error {
	ebml := appendUint(nil, idEBMLVersion, 1)
	ebml = appendUint(ebml, idEBMLReadVersion, 1)
	ebml = appendUint(ebml, idEBMLMaxIDLength, 4)
	ebml = appendUint(ebml, idEBMLMaxSizeLength, 8)
	ebml = appendElement(ebml, idDocType, []byte(docType))
	ebml = appendUint(ebml, idDocTypeVersion, 4)
	ebml = appendUint(ebml, idDocTypeReadVersion, 2)
	b := appendElement(nil, idEBML, ebml)

	b = appendUnknownSize(appendID(b, idSegment))
	m.segment = int64(len(b))
	b = appendVoid(b, seekHeadSize)
	m.info = int64(len(b)) - m.segment
	info := appendUint(nil, idTimestampScale, uint64(time.Millisecond))
	info = appendElement(info, idMuxingApp, []byte("parley"))
	info = appendElement(info, idWritingApp, []byte("parley"))
	void := len(appendFloat(nil, idDuration, 0))
	info = appendVoid(info, void) // a duration that is not known must not be there
	b = appendElement(b, idInfo, info)
	m.duration = int64(len(b) - void)
	m.tracks = int64(len(b)) - m.segment
	b = appendElement(b, idTracks, entries)
	_, err := m.out.Write(b)
	return err
}

// WriteFrame implements media.Muxer.
func (m *muxer) WriteFrame(track int, f media.Frame, at time.Duration) error {
	at = max(0, at)
	if m.wantsCluster(track, f, at) {
		if err := m.beginCluster(track, f, at); err != nil {
			return err
		}
	}
	flags := byte(0)
	if f.Key {
		flags = 0x80
	}
	// The size comes before the data, whose length is not known yet for H.264: it is patched in the
	// buffer.
	b := appendUnknownSize(appendID(m.buffer[:0], idSimpleBlock))
	header := len(b)
	b = append(b, 0x80|byte(trackNumber(track)))
	b = binary.BigEndian.AppendUint16(b, uint16(int16(at.Milliseconds()-m.clusterAt.Milliseconds()))) //nolint:gosec // see wantsCluster
	b = append(b, flags)
	if m.mimes[track] == webrtc.MimeTypeH264 {
		b = codec.AppendLengthPrefixed(b, f.Data)
	} else {
		b = append(b, f.Data...)
	}
	appendSize(b[:header-8], int64(len(b)-header))
	m.buffer = b
	_, err := m.out.Write(b)
	return err
}

// wantsCluster reports whether a frame begins a cluster. Key frames of the track in the index do,
// so that players can seek to them.
func (m *muxer) wantsCluster(track int, f media.Frame, at time.Duration) bool {
	if m.cluster == 0 {
		return true
	}
	length := at - m.clusterAt
	return track == m.cueTrack && f.Key && length >= minClusterDuration || length >= maxClusterDuration ||
		m.out.Size()-m.cluster >= maxClusterBytes || length.Abs().Milliseconds() > maxBlockOffset
}

func (m *muxer) beginCluster(track int, f media.Frame, at time.Duration) error {
	if err := m.endCluster(); err != nil {
		return err
	}
	m.cluster, m.clusterAt = m.out.Size(), at.Truncate(time.Millisecond)
	if track == m.cueTrack && f.Key && len(m.cues) < maxCues {
		m.cues = append(m.cues, cue{m.clusterAt, m.cluster - m.segment})
	}
	b := appendUnknownSize(appendID(nil, idCluster))
	_, err := m.out.Write(appendUint(b, idTimestamp, uint64(m.clusterAt.Milliseconds()))) //nolint:gosec // not negative
	return err
}

// endCluster patches the size of the latest cluster.
func (m *muxer) endCluster() error {
	if m.cluster == 0 {
		return nil
	}
	const header = 4 + 8 // ID and size
	return m.out.Patch(m.cluster+4, appendSize(nil, m.out.Size()-m.cluster-header))
}

// Finish implements media.Muxer.
func (m *muxer) Finish(duration time.Duration) error {
	if err := m.endCluster(); err != nil {
		return err
	}
	cues, full := m.writeCues() // on a full disk the file goes without an index
	if err := m.patchSeekHead(cues); err != nil {
		return errors.Join(full, err)
	}
	length := appendFloat(nil, idDuration, float64(duration)/float64(time.Millisecond))
	if err := m.out.Patch(m.duration, length); err != nil {
		return errors.Join(full, err)
	}
	return errors.Join(full, m.out.Patch(m.segment-8, appendSize(nil, m.out.Size()-m.segment)))
}

// writeCues appends the index and returns its offset in the segment, 0 if there is none.
func (m *muxer) writeCues() (offset int64, err error) {
	if len(m.cues) == 0 {
		return 0, nil
	}
	var points []byte
	for _, c := range m.cues {
		position := appendUint(nil, idCueTrack, trackNumber(m.cueTrack))
		position = appendUint(position, idCueClusterPosition, uint64(c.offset)) //nolint:gosec // not negative
		point := appendUint(nil, idCueTime, uint64(c.at.Milliseconds()))        //nolint:gosec // not negative
		points = appendElement(points, idCuePoint, appendElement(point, idCueTrackPositions, position))
	}
	offset = m.out.Size() - m.segment
	if _, err = m.out.Write(appendElement(nil, idCues, points)); err != nil {
		return 0, err
	}
	return offset, nil
}

// patchSeekHead writes where the parts of the segment are.
func (m *muxer) patchSeekHead(cues int64) error {
	var entries []byte
	for _, part := range []struct {
		id     uint32
		offset int64
	}{{idInfo, m.info}, {idTracks, m.tracks}, {idCues, cues}} {
		if part.offset > 0 {
			seek := appendElement(nil, idSeekID, appendID(nil, part.id))
			seek = appendUint(seek, idSeekPosition, uint64(part.offset)) //nolint:gosec // not negative
			entries = appendElement(entries, idSeek, seek)
		}
	}
	b := appendElement(nil, idSeekHead, entries)
	return m.out.Patch(m.segment, appendVoid(b, seekHeadSize-len(b)))
}
