package source

import (
	"time"

	"parley/media"
	"parley/media/codec"
)

// h264Writer writes an H.264 byte stream. It has no times: a player shows it at one rate.
type h264Writer struct {
	file   media.Output
	sets   codec.ParameterSets
	buffer []byte
}

func newAnnexBMuxer(out media.Output, _ []media.OutputTrack) (media.Muxer, error) {
	return &h264Writer{file: out}, nil
}

func (w *h264Writer) WriteFrame(_ int, f media.Frame, _ time.Duration) error {
	complete := false
	for nal := range codec.NALUnits(f.Data) {
		w.sets.Put(nal)
		complete = complete || codec.NALType(nal) == codec.NALSPS
	}
	w.buffer = w.buffer[:0]
	if f.Key && !complete {
		w.buffer = w.sets.AppendTo(w.buffer)
	}
	w.buffer = append(w.buffer, f.Data...)
	_, err := w.file.Write(w.buffer)
	return err
}

func (w *h264Writer) Finish(time.Duration) error { return nil }
