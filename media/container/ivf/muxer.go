package ivf

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
)

// muxer writes an IVF file with a timebase of 1/90000, so that each frame keeps its RTP time.
type muxer struct {
	out    media.Output
	mime   string
	buffer []byte
}

// fourCCs returns the FourCC of each codec by its MIME type.
func fourCCs() map[string]string {
	return map[string]string{webrtc.MimeTypeVP8: "VP80", webrtc.MimeTypeVP9: "VP90", webrtc.MimeTypeAV1: "AV01"}
}

// NewMuxer writes the header of a file with one track of VP8, VP9 or AV1.
func NewMuxer(out media.Output, tracks []media.OutputTrack) (media.Muxer, error) {
	t := tracks[0]
	if fourCCs()[t.MIME] == "" {
		return nil, fmt.Errorf("an IVF file does not hold %s", media.CodecName(t.MIME))
	}
	_, err := out.Write(AppendHeader(nil, t.MIME, t.First.Width, t.First.Height))
	return &muxer{out: out, mime: t.MIME}, err
}

// WriteFrame implements media.Muxer.
func (m *muxer) WriteFrame(_ int, f media.Frame, at time.Duration) error {
	ticks := uint64(media.DurationToTicks(at, media.VideoClockRate)) //nolint:gosec // not negative
	m.buffer = AppendFrame(m.buffer[:0], m.mime, f.Data, ticks)
	_, err := m.out.Write(m.buffer)
	return err
}

// AppendHeader appends the header of a file with a timebase of 1/90000.
func AppendHeader(b []byte, mime string, width, height int) []byte {
	le := binary.LittleEndian
	b = append(b, "DKIF"...)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint16(b, headerSize)
	b = append(b, fourCCs()[mime]...)
	b = le.AppendUint16(b, uint16(width))  //nolint:gosec // at most 16 bits in a key frame of each codec
	b = le.AppendUint16(b, uint16(height)) //nolint:gosec // the same
	b = le.AppendUint32(b, media.VideoClockRate)
	b = le.AppendUint32(b, 1)
	b = le.AppendUint32(b, 0) // duration, see Finish
	return le.AppendUint32(b, 0)
}

// AppendFrame appends a frame at a time in units of the timebase. A temporal unit of AV1 gets its
// temporal delimiter.
func AppendFrame(b []byte, mime string, frame []byte, ticks uint64) []byte {
	var prefix []byte
	if mime == webrtc.MimeTypeAV1 {
		prefix = codec.AV1TemporalDelimiter()
	}
	le := binary.LittleEndian
	b = le.AppendUint32(b, uint32(len(prefix)+len(frame))) //nolint:gosec // at most media.MaxFrameSize
	b = le.AppendUint64(b, ticks)
	return append(append(b, prefix...), frame...)
}

// Finish implements media.Muxer. It writes the duration in units of the timebase, as ffmpeg reads
// it: the header was meant for the number of frames, with a timebase that is the frame rate.
func (m *muxer) Finish(duration time.Duration) error {
	length := media.DurationToTicks(duration, media.VideoClockRate)
	return m.out.Patch(24, binary.LittleEndian.AppendUint32(nil, uint32(min(length, math.MaxUint32)))) //nolint:gosec // in range
}
