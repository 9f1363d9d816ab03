package matroska

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"parley/media"
	"parley/media/codec"

	"github.com/at-wat/ebml-go"
	webmcore "github.com/at-wat/ebml-go/webm"
	"github.com/pion/webrtc/v4"
)

const (
	clusterLength = time.Second // at least; then a key frame begins the next
	clusterLimit  = 5 * time.Second
	clusterBytes  = 4 << 20
	clusterReach  = math.MaxInt16 // a block's time is relative to its cluster, RFC 9559 section 10.1
	seekHeadRoom  = 128           // bytes, for three entries
	maxCues       = 100_000       // a day and more
)

// muxer writes a WebM file from front to back. While it is written its segment and its last cluster have
// an unknown size, which players take as "up to the end", so that it plays if it is never finished. At the end the
// sizes, the duration and the index are patched in.
//
// The header and the index are marshaled by ebml-go; blocks are written here, for the writer of ebml-go reports errors
// late and leaves goroutines behind.
type muxer struct {
	file  media.Output
	video int // index of the first video track, -1 without video

	segment  int64 // where the content of the segment begins
	info     int64 // relative to segment, as the others below
	tracks   int64
	duration int64 // of the room for the duration, in the file

	cluster     int64 // where the latest cluster begins in the file, 0 before the first
	clusterTime time.Duration
	cues        []webmcore.CuePoint
	buffer      []byte
}

// NewMuxer writes the header of a WebM file.
func NewMuxer(out media.Output, tracks []media.OutputTrack) (media.Muxer, error) {
	w := &muxer{file: out, video: -1}
	var entries []webmcore.TrackEntry
	for i, t := range tracks {
		if media.KindOf(t.MIME) == webrtc.RTPCodecTypeVideo && w.video < 0 {
			w.video = i
		}
		entries = append(entries, trackEntry(trackNumber(i), t))
	}
	return w, w.writeHeader(entries)
}

// trackNumber is the number in the file of the track with an index.
func trackNumber(index int) uint64 { return uint64(index) + 1 } //nolint:gosec // not negative

func trackEntry(number uint64, t media.OutputTrack) webmcore.TrackEntry {
	f := t.First
	e := webmcore.TrackEntry{TrackNumber: number, TrackUID: number}
	if media.KindOf(t.MIME) == webrtc.RTPCodecTypeAudio {
		e.TrackType, e.CodecID, e.CodecPrivate = 2, "A_OPUS", codec.NewOpusHead()
		e.SeekPreRoll = 80_000_000 // ns, as the mapping of Opus wants it
		e.Audio = &webmcore.Audio{SamplingFrequency: media.OpusClockRate, Channels: 2}
		return e
	}
	e.TrackType = 1
	e.CodecID = map[string]string{
		webrtc.MimeTypeVP8: "V_VP8", webrtc.MimeTypeVP9: "V_VP9", webrtc.MimeTypeAV1: "V_AV1",
	}[t.MIME]
	if t.MIME == webrtc.MimeTypeAV1 {
		e.CodecPrivate = codec.AV1DecoderConfig(f.Data)
	}
	// A key frame without a size, which only AV1 and VP9 of a kind that nobody sends have, must not end the recording.
	e.Video = &webmcore.Video{PixelWidth: uint64(max(1, f.Width)), PixelHeight: uint64(max(1, f.Height))} //nolint:gosec // positive
	return e
}

// writeHeader writes all that comes before the first cluster, with room for what is known at the end.
func (w *muxer) writeHeader(entries []webmcore.TrackEntry) error {
	var head bytes.Buffer
	err := ebml.Marshal(&struct {
		Header webmcore.EBMLHeader `ebml:"EBML"`
	}{webmcore.EBMLHeader{
		EBMLVersion: 1, EBMLReadVersion: 1, EBMLMaxIDLength: 4, EBMLMaxSizeLength: 8,
		DocType: "webm", DocTypeVersion: 4, DocTypeReadVersion: 2,
	}}, &head)
	if err != nil {
		return fmt.Errorf("write WebM header: %w", err)
	}
	head.Write(appendUnknownSize(appendID(nil, idSegment)))
	w.segment = int64(head.Len())
	head.Write(appendVoid(nil, seekHeadRoom))
	w.info = int64(head.Len()) - w.segment
	info, room, err := marshalInfo()
	if err != nil {
		return err
	}
	w.duration = int64(head.Len() + room)
	head.Write(info)
	w.tracks = int64(head.Len()) - w.segment
	err = ebml.Marshal(&struct {
		Tracks webmcore.Tracks `ebml:"Tracks"`
	}{webmcore.Tracks{TrackEntry: entries}}, &head)
	if err != nil {
		return fmt.Errorf("write WebM tracks: %w", err)
	}
	_, err = w.file.Write(head.Bytes())
	return err
}

// marshalInfo returns the segment information, and where in it the room for the duration is: a duration that is not
// known must not be there.
func marshalInfo() (info []byte, room int, err error) {
	var b bytes.Buffer
	err = ebml.Marshal(&struct {
		Info webmcore.Info `ebml:"Info"`
	}{webmcore.Info{TimecodeScale: uint64(time.Millisecond), MuxingApp: "parley", WritingApp: "parley", Duration: 1}}, &b)
	if err != nil {
		return nil, 0, fmt.Errorf("write WebM info: %w", err)
	}
	room = bytes.Index(b.Bytes(), []byte{0x44, 0x89, 0x88}) // Duration, eight bytes
	if room < 0 {
		return nil, 0, errors.New("write WebM info: there is no room for the duration")
	}
	copy(b.Bytes()[room:], appendVoid(nil, 11))
	return b.Bytes(), room, nil
}

// WriteFrame implements media.Muxer.
func (w *muxer) WriteFrame(t int, f media.Frame, at time.Duration) error {
	if at < 0 {
		at = 0
	}
	if w.wantsCluster(t, f, at) {
		if err := w.beginCluster(t, f, at); err != nil {
			return err
		}
	}
	number := trackNumber(t)
	b := appendSize(appendID(w.buffer[:0], idSimpleBlock), int64(len(f.Data)+4))
	b = append(b, 0x80|byte(number))
	b = binary.BigEndian.AppendUint16(b, uint16(int16(at.Milliseconds()-w.clusterTime.Milliseconds()))) //nolint:gosec // see wantsCluster
	flags := byte(0)
	if f.Key {
		flags = 0x80
	}
	b = append(append(b, flags), f.Data...)
	w.buffer = b
	_, err := w.file.Write(b)
	return err
}

// wantsCluster: a key frame begins a cluster so that players can seek to it.
func (w *muxer) wantsCluster(t int, f media.Frame, at time.Duration) bool {
	if w.cluster == 0 {
		return true
	}
	length := at - w.clusterTime
	seekable := t == w.video && f.Key || w.video < 0
	return seekable && length >= clusterLength || length >= clusterLimit ||
		w.file.Size()-w.cluster >= clusterBytes || length.Abs().Milliseconds() > clusterReach
}

func (w *muxer) beginCluster(t int, f media.Frame, at time.Duration) error {
	if err := w.endCluster(); err != nil {
		return err
	}
	at = at.Truncate(time.Millisecond)
	w.cluster, w.clusterTime = w.file.Size(), at
	milliseconds := uint64(at.Milliseconds()) //nolint:gosec // not negative
	if f.Key && len(w.cues) < maxCues {
		w.cues = append(w.cues, webmcore.CuePoint{CueTime: milliseconds, CueTrackPositions: []webmcore.CueTrackPosition{{
			CueTrack: trackNumber(t), CueClusterPosition: uint64(w.cluster - w.segment), //nolint:gosec // not negative
		}}})
	}
	b := appendUnknownSize(appendID(nil, idCluster))
	b = append(appendID(b, idTimestamp), 0x88)
	_, err := w.file.Write(binary.BigEndian.AppendUint64(b, milliseconds))
	return err
}

func (w *muxer) endCluster() error {
	if w.cluster == 0 {
		return nil
	}
	return w.file.Patch(w.cluster+4, appendSize(nil, w.file.Size()-w.cluster-12))
}

// Finish writes the index and patches the header.
func (w *muxer) Finish(duration time.Duration) error {
	if err := w.endCluster(); err != nil {
		return err
	}
	cues, full := w.writeCues() // on a full disk the file does without an index
	if err := w.patchSeekHead(cues); err != nil {
		return errors.Join(full, err)
	}
	length := binary.BigEndian.AppendUint64([]byte{0x44, 0x89, 0x88},
		math.Float64bits(float64(duration)/float64(time.Millisecond)))
	if err := w.file.Patch(w.duration, length); err != nil {
		return errors.Join(full, err)
	}
	return errors.Join(full, w.file.Patch(w.segment-8, appendSize(nil, w.file.Size()-w.segment)))
}

// writeCues appends the index and returns its position.
func (w *muxer) writeCues() (position int64, err error) {
	// Without video each cluster is a point to seek to; with it, those that begin with a key frame of it.
	cues := slices.DeleteFunc(w.cues, func(c webmcore.CuePoint) bool {
		return w.video >= 0 && c.CueTrackPositions[0].CueTrack != trackNumber(w.video)
	})
	if len(cues) == 0 {
		return 0, nil
	}
	var b bytes.Buffer
	err = ebml.Marshal(&struct {
		Cues webmcore.Cues `ebml:"Cues"`
	}{webmcore.Cues{CuePoint: cues}}, &b)
	if err != nil {
		return 0, fmt.Errorf("write WebM index: %w", err)
	}
	position = w.file.Size() - w.segment
	if _, err = w.file.Write(b.Bytes()); err != nil {
		return 0, err
	}
	return position, nil
}

// patchSeekHead says where the parts of the file are.
func (w *muxer) patchSeekHead(cues int64) error {
	seek := []webmcore.Seek{
		{SeekID: ebml.ElementInfo.Bytes(), SeekPosition: uint64(w.info)},     //nolint:gosec // not negative
		{SeekID: ebml.ElementTracks.Bytes(), SeekPosition: uint64(w.tracks)}, //nolint:gosec // not negative
	}
	if cues > 0 {
		seek = append(seek, webmcore.Seek{SeekID: ebml.ElementCues.Bytes(), SeekPosition: uint64(cues)})
	}
	var b bytes.Buffer
	err := ebml.Marshal(&struct {
		SeekHead webmcore.SeekHead `ebml:"SeekHead"`
	}{webmcore.SeekHead{Seek: seek}}, &b)
	if err != nil || b.Len() > seekHeadRoom-9 {
		return errors.Join(errors.New("write WebM seek head: no room"), err)
	}
	b.Write(appendVoid(nil, seekHeadRoom-b.Len()))
	return w.file.Patch(w.segment, b.Bytes())
}
