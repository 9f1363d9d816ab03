package annexb

import (
	"time"

	"parley/media"
	"parley/media/codec"
)

// muxer writes an H.264 byte stream, which has no timestamps: players display it at a constant
// rate.
type muxer struct {
	out    media.Output
	sets   codec.ParameterSets
	buffer []byte
}

// NewMuxer returns the muxer of one track of H.264.
func NewMuxer(out media.Output, _ []media.OutputTrack) (media.Muxer, error) {
	return &muxer{out: out}, nil
}

// WriteFrame implements media.Muxer.
func (m *muxer) WriteFrame(_ int, f media.Frame, _ time.Duration) error {
	m.buffer = m.sets.AppendAccessUnit(m.buffer[:0], codec.NALUnits(f.Data))
	_, err := m.out.Write(m.buffer)
	return err
}

// Finish implements media.Muxer.
func (m *muxer) Finish(time.Duration) error { return nil }
