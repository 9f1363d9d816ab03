package annexb

import (
	"time"

	"parley/media"
	"parley/media/codec"
)

// muxer writes an H.264 byte stream. It has no times: a player shows it at one rate.
type muxer struct {
	file   media.Output
	sets   codec.ParameterSets
	buffer []byte
}

// NewMuxer writes one track of H.264.
func NewMuxer(out media.Output, _ []media.OutputTrack) (media.Muxer, error) {
	return &muxer{file: out}, nil
}

// WriteFrame implements media.Muxer.
func (w *muxer) WriteFrame(_ int, f media.Frame, _ time.Duration) error {
	w.buffer = w.sets.AppendAccessUnit(w.buffer[:0], codec.NALUnits(f.Data))
	_, err := w.file.Write(w.buffer)
	return err
}

// Finish implements media.Muxer.
func (w *muxer) Finish(time.Duration) error { return nil }
