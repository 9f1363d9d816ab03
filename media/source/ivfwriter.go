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
	file   *outFile
	start  time.Time
	frames uint32
	buffer []byte
	track  *recordTrack
}

func newIVFWriter(file *outFile, _ RecorderOptions) frameWriter { return &ivfWriter{file: file} }

func (w *ivfWriter) add(t *recordTrack) { w.track = t }

func (w *ivfWriter) write(t *recordTrack, f media.Frame) error {
	w.buffer = w.buffer[:0]
	if w.frames == 0 {
		w.start = f.Arrival
		w.buffer = w.appendHeader(w.buffer, t.mime, f.Width, f.Height)
	}
	at := media.DurationToTicks(t.time.next(f, w.start), media.VideoClockRate)
	le := binary.LittleEndian
	data := f.Data
	size := len(data)
	if t.mime == webrtc.MimeTypeAV1 {
		size += len(codec.AV1TemporalDelimiter())
	}
	w.buffer = le.AppendUint32(w.buffer, uint32(size)) //nolint:gosec // at most media.MaxFrameSize
	w.buffer = le.AppendUint64(w.buffer, uint64(at))   //nolint:gosec // grows from 0
	if t.mime == webrtc.MimeTypeAV1 {
		w.buffer = append(w.buffer, codec.AV1TemporalDelimiter()...)
	}
	w.buffer = append(w.buffer, data...)
	if _, err := w.file.Write(w.buffer); err != nil {
		return err
	}
	w.frames++
	return nil
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

// finish writes the length. It was made for a number of frames, of a timebase that is the frame rate; ffmpeg writes and
// reads it in units of the timebase, and so takes a number of frames for a fraction of a second.
func (w *ivfWriter) finish() error {
	if w.frames == 0 {
		return nil
	}
	length := media.DurationToTicks(w.track.time.at+w.track.time.interval, media.VideoClockRate)
	return w.file.patchAt(24, binary.LittleEndian.AppendUint32(nil, uint32(min(length, math.MaxUint32)))) //nolint:gosec // in range
}
