package media

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// FileError says which file could not be opened, read or written, and why.
type FileError struct {
	// Path is the name as it was given.
	Path string
	// Err is the reason.
	Err error
}

func (e *FileError) Error() string { return e.Path + ": " + e.Err.Error() }

func (e *FileError) Unwrap() error { return e.Err }

// WrapFileError wraps err for path; it takes the path out of errors of package os, which carry it already.
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

// SpecError says that the words which name a source or its options make no sense: an error of usage, not of a file.
type SpecError struct {
	// Spec is what was asked for.
	Spec string
	// Reason tells what would make sense.
	Reason string
}

func (e *SpecError) Error() string { return e.Spec + ": " + e.Reason }

// What is in the error of a file that ends too early.
var (
	ErrTruncated = errors.New("the file is cut off")
	ErrEmpty     = errors.New("the file is empty")
)

func IsTruncated(err error) bool { return errors.Is(err, ErrTruncated) || errors.Is(err, ErrEmpty) }

// ReadError says that a file ends in the middle of what.
func ReadError(what string, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w in %s", ErrTruncated, what)
	}
	return fmt.Errorf("read %s: %w", what, err)
}
