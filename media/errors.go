package media

import (
	"errors"
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

// fileError wraps err for path; it takes the path out of errors of package os, which carry it already.
func fileError(path string, err error) error {
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
