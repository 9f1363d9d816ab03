package media

// h264Writer writes an H.264 byte stream. It has no times: a player shows it at one rate.
type h264Writer struct {
	file   *outFile
	sets   parameterSets
	buffer []byte
}

func newH264Writer(file *outFile, _ RecorderOptions) frameWriter { return &h264Writer{file: file} }

func (w *h264Writer) add(*recordTrack) {}

func (w *h264Writer) write(_ *recordTrack, f Frame) error {
	complete := false
	for nal := range annexB(f.Data) {
		w.sets.put(nal)
		complete = complete || nalType(nal) == nalSPS
	}
	w.buffer = w.buffer[:0]
	if f.Key && !complete {
		w.buffer = w.sets.appendTo(w.buffer)
	}
	w.buffer = append(w.buffer, f.Data...)
	_, err := w.file.Write(w.buffer)
	return err
}

func (w *h264Writer) finish() error { return nil }
