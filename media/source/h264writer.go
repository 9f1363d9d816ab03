package source

import (
	"parley/media"
	"parley/media/codec"
)

// h264Writer writes an H.264 byte stream. It has no times: a player shows it at one rate.
type h264Writer struct {
	file   *outFile
	sets   codec.ParameterSets
	buffer []byte
}

func newH264Writer(file *outFile, _ RecorderOptions) frameWriter { return &h264Writer{file: file} }

func (w *h264Writer) add(*recordTrack) {}

func (w *h264Writer) write(_ *recordTrack, f media.Frame) error {
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

func (w *h264Writer) finish() error { return nil }
