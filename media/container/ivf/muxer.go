package ivf

import (
	"encoding/binary"
	"math"
	"time"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
)

// muxer writes an IVF file with a timebase of 1/90000, so that each frame keeps its RTP time.
type muxer struct {
	file   media.Output
	mime   string
	buffer []byte
}

// NewMuxer writes the header for one track of VP8, VP9 or AV1.
func NewMuxer(out media.Output, tracks []media.OutputTrack) (media.Muxer, error) {
	w := &muxer{file: out, mime: tracks[0].MIME}
	_, err := out.Write(AppendHeader(nil, w.mime, tracks[0].First.Width, tracks[0].First.Height))
	return w, err
}

// WriteFrame implements media.Muxer.
func (w *muxer) WriteFrame(_ int, f media.Frame, at time.Duration) error {
	ticks := uint64(media.DurationToTicks(at, media.VideoClockRate)) //nolint:gosec // grows from 0
	w.buffer = AppendFrame(w.buffer[:0], w.mime, f.Data, ticks)
	_, err := w.file.Write(w.buffer)
	return err
}

// AppendHeader appends the header of a file with a timebase of 1/90000.
func AppendHeader(b []byte, mime string, width, height int) []byte {
	fourCC := map[string]string{
		webrtc.MimeTypeVP8: "VP80", webrtc.MimeTypeVP9: "VP90", webrtc.MimeTypeAV1: "AV01",
	}[mime]
	le := binary.LittleEndian
	b = append(b, "DKIF"...)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint16(b, headerSize)
	b = append(b, fourCC...)
	b = le.AppendUint16(b, uint16(width))  //nolint:gosec // at most 16 bits in a key frame of each codec
	b = le.AppendUint16(b, uint16(height)) //nolint:gosec // the same
	b = le.AppendUint32(b, media.VideoClockRate)
	b = le.AppendUint32(b, 1)
	b = le.AppendUint32(b, 0) // length, known at the end
	return le.AppendUint32(b, 0)
}

// AppendFrame appends a frame at a time in units of the timebase. A temporal unit of AV1 gets its temporal delimiter.
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

// Finish writes the length. It was made for a number of frames, of a timebase that is the frame rate; ffmpeg writes and
// reads it in units of the timebase, and so takes a number of frames for a fraction of a second.
func (w *muxer) Finish(duration time.Duration) error {
	length := media.DurationToTicks(duration, media.VideoClockRate)
	return w.file.Patch(24, binary.LittleEndian.AppendUint32(nil, uint32(min(length, math.MaxUint32)))) //nolint:gosec // in range
}
