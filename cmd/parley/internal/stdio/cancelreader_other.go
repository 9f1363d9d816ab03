//go:build !unix

package stdio

import "io"

// NewCancelReader returns a reader of r, and a function that makes its reads return io.EOF. That
// function must be called once.
func NewCancelReader(r io.Reader) (io.Reader, func(), error) {
	reader, stop := newAbandoningReader(r)
	return reader, stop, nil
}
