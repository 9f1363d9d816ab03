//go:build !unix

package main

import "io"

// newStoppable makes a reader of r, and what stops it, to be called once.
func newStoppable(r io.Reader) (io.Reader, func(), error) {
	stoppable, stop := newAbandoned(r)
	return stoppable, stop, nil
}
