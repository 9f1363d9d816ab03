package source

import (
	"encoding/binary"
	"math"
	"time"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
)

// ivfWriter writes an IVF file with a timebase of 1/90000, so that each frame keeps its RTP time.
type ivfWriter struct {
	file   media.Output
	mime   string
	buffer []byte
}

func newIVFMuxer(out media.Output, tracks []media.OutputTrack) (media.Muxer, error) {
	w := &ivfWriter{file: out, mime: tracks[0].MIME}
	_, err := out.Write(w.appendHeader(nil, w.mime, tracks[0].First.Width, tracks[0].First.Height))
	return w, err
}

func (w *ivfWriter) WriteFrame(_ int, f media.Frame, since time.Duration) error {
	w.buffer = w.buffer[:0]
	at := media.DurationToTicks(since, media.VideoClockRate)
	le := binary.LittleEndian
	data := f.Data
	size := len(data)
	if w.mime == webrtc.MimeTypeAV1 {
		size += len(codec.AV1TemporalDelimiter())
	}
	w.buffer = le.AppendUint32(w.buffer, uint32(size)) //nolint:gosec // at most media.MaxFrameSize
	w.buffer = le.AppendUint64(w.buffer, uint64(at))   //nolint:gosec // grows from 0
	if w.mime == webrtc.MimeTypeAV1 {
		w.buffer = append(w.buffer, codec.AV1TemporalDelimiter()...)
	}
	w.buffer = append(w.buffer, data...)
	_, err := w.file.Write(w.buffer)
	return err
}

func (w *ivfWriter) appendHeader(b []byte, mime string, width, height int) []byte {
	fourCC := map[string]string{
		webrtc.MimeTypeVP8: "VP80", webrtc.MimeTypeVP9: "VP90", webrtc.MimeTypeAV1: "AV01",
	}[mime]
	le := binary.LittleEndian
	b = append(b, "DKIF"...)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint16(b, ivfHeaderSize)
	b = append(b, fourCC...)
	b = le.AppendUint16(b, uint16(width))  //nolint:gosec // at most 16 bits in a key frame of each codec
	b = le.AppendUint16(b, uint16(height)) //nolint:gosec // the same
	b = le.AppendUint32(b, media.VideoClockRate)
	b = le.AppendUint32(b, 1)
	b = le.AppendUint32(b, 0) // length, known at the end
	return le.AppendUint32(b, 0)
}

// Finish writes the length. It was made for a number of frames, of a timebase that is the frame rate; ffmpeg writes and
// reads it in units of the timebase, and so takes a number of frames for a fraction of a second.
func (w *ivfWriter) Finish(duration time.Duration) error {
	length := media.DurationToTicks(duration, media.VideoClockRate)
	return w.file.Patch(24, binary.LittleEndian.AppendUint32(nil, uint32(min(length, math.MaxUint32)))) //nolint:gosec // in range
}
