package media

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// FileError is the error of a file that cannot be opened, read or written.
type FileError struct {
	// Path is the name as the user gave it.
	Path string
	// Err is the cause.
	Err error
}

func (e *FileError) Error() string { return e.Path + ": " + e.Err.Error() }

func (e *FileError) Unwrap() error { return e.Err }

// WrapFileError returns err as a *FileError of path, nil if err is nil. It removes the path from
// errors of package os, and returns a *FileError unchanged.
func WrapFileError(path string, err error) error {
	if err == nil {
		return nil
	}
	if known := (*FileError)(nil); errors.As(err, &known) {
		return known
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) && pathErr.Path == path {
		err = pathErr.Err
	}
	return &FileError{Path: path, Err: err}
}

// SpecError is the error of a source specification or option that is invalid: an error of usage,
// not of a file.
type SpecError struct {
	// Spec is the specification, or the option with its value.
	Spec string
	// Reason says what is wrong and what is wanted.
	Reason string
}

func (e *SpecError) Error() string { return e.Spec + ": " + e.Reason }

// Errors of a stream that ends too early.
var (
	ErrTruncated = errors.New("the file is cut off")
	ErrEmpty     = errors.New("the file is empty")
)

// IsTruncated reports whether err says that a stream is empty or cut off.
func IsTruncated(err error) bool { return errors.Is(err, ErrTruncated) || errors.Is(err, ErrEmpty) }

// ReadError returns the error of reading a part of a stream. At the end of the stream it wraps
// ErrTruncated.
func ReadError(part string, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w in %s", ErrTruncated, part)
	}
	return fmt.Errorf("read %s: %w", part, err)
}
