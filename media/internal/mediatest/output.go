package mediatest

import "parley/media"

// Output is a media.Output in memory. Pipe makes it one that is not seekable.
type Output struct {
	Data []byte
	Pipe bool
}

var _ media.Output = (*Output)(nil)

// Write implements media.Output.
func (o *Output) Write(data []byte) (int, error) {
	o.Data = append(o.Data, data...)
	return len(data), nil
}

// Size implements media.Output.
func (o *Output) Size() int64 { return int64(len(o.Data)) }

// Seekable implements media.Output.
func (o *Output) Seekable() bool { return !o.Pipe }

// Patch implements media.Output.
func (o *Output) Patch(offset int64, data []byte) error {
	if !o.Pipe {
		copy(o.Data[offset:offset+int64(len(data))], data)
	}
	return nil
}
