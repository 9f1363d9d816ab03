package filetransfer

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"parley/peer/filetransfer/internal/disk"
)

// An Entry is one file or folder of a transfer.
type Entry struct {
	// Name is relative, with "/" between its parts. The peer's name has been checked to be one that
	// can be stored, but not to be one that can be printed.
	Name string
	Dir  bool
	// Size is the length of a file in bytes, Data the number of them that are not in holes.
	Size, Data int64
	Mode       fs.FileMode // permission bits
	Time       time.Time   // of the last modification; zero if unknown
}

func (e *Entry) file() disk.File {
	return disk.File{Name: e.Name, Size: e.Size, Mode: e.Mode, Time: e.Time}
}

// An Offer is what a sender wants to send.
type Offer struct {
	// ID is the random name of the transfer. A transfer that is resumed keeps its ID.
	ID      string
	Entries []Entry
}

// Bytes returns the size of all files.
func (o *Offer) Bytes() (n int64) {
	for i := range o.Entries {
		n += o.Entries[i].Size
	}
	return n
}

// Files returns the number of entries that are files.
func (o *Offer) Files() (n int) {
	for i := range o.Entries {
		if !o.Entries[i].Dir {
			n++
		}
	}
	return n
}

// nextFile returns the index of the first file at or after i.
func (o *Offer) nextFile(i int) int {
	for i < len(o.Entries) && o.Entries[i].Dir {
		i++
	}
	return i
}

// file returns the index of the file that a message is about.
func (o *Offer) file(m *message) (int, error) {
	if m.File == nil || *m.File < 0 || *m.File >= len(o.Entries) || o.Entries[*m.File].Dir {
		return 0, failed(FailedProtocol, "invalid %q message: no such file in the offer", m.Type)
	}
	return *m.File, nil
}

// An Event reports the progress of a transfer: one of the types below.
type Event interface{ event() }

type (
	// Accepted reports that the receiver accepted the offer.
	Accepted struct{}
	// FileStarted reports the start of a file, of which the receiver has the first Offset bytes.
	FileStarted struct {
		Entry  *Entry
		Offset int64
	}
	// Progress reports further bytes of a file. Skipped bytes did not go over the network: the
	// receiver had them, or they are in a hole.
	Progress struct {
		Bytes   int64
		Skipped bool
	}
	// FileDone reports a file that the receiver has stored and verified. SHA256 is set at the
	// receiver only.
	FileDone struct {
		Entry  *Entry
		SHA256 []byte
	}
)

func (Accepted) event()    {}
func (FileStarted) event() {}
func (Progress) event()    {}
func (FileDone) event()    {}

// RefusedError is the error of an offer that the receiver refused.
type RefusedError struct {
	// Code is one of the Refused constants; the peer's may be any word.
	Code string
	// Reason is a sentence for people. The peer's is unchecked: quote it before printing.
	Reason string
	ByPeer bool
}

// Codes of refusals.
const (
	RefusedDeclined    = "declined" // by a person
	RefusedSize        = "size"
	RefusedSpace       = "space"
	RefusedExists      = "exists"
	RefusedName        = "name"
	RefusedLimit       = "limit"
	RefusedVersion     = "version"
	RefusedUnsupported = "unsupported"
)

// Error implements error.
func (r *RefusedError) Error() string { return r.Reason }

func refused(code, format string, a ...any) error {
	return &RefusedError{Code: code, Reason: fmt.Sprintf(format, a...)}
}

// FailedError is the error of a transfer that one peer could not continue.
type FailedError struct {
	// Code is one of the Failed constants; the peer's may be any word.
	Code string
	// Err is a sentence for people. The peer's is unchecked: quote it before printing.
	Err    error
	ByPeer bool
}

// Codes of failures.
const (
	FailedDisk      = "disk"      // the receiver cannot write
	FailedRead      = "read"      // the sender cannot read
	FailedSize      = "size"      // more or fewer bytes than offered
	FailedHash      = "hash"      // SHA-256 mismatch
	FailedExists    = "exists"    // a file with different content exists
	FailedProtocol  = "protocol"  // unexpected message
	FailedCancelled = "cancelled" // by a person
)

// Error implements error.
func (f *FailedError) Error() string { return f.Err.Error() }

func (f *FailedError) Unwrap() error { return f.Err }

func failed(code, format string, a ...any) error {
	return &FailedError{Code: code, Err: fmt.Errorf(format, a...)}
}

// ErrBroken is the error of a transfer whose channel closed or failed before it was complete. It
// resumes when the same files are sent again.
var ErrBroken = errors.New("data channel closed before the transfer was complete")

func broken(err error) error { return fmt.Errorf("%w: %w", ErrBroken, err) }

// FormatSize returns a number of bytes for people, such as 1.5 MiB.
func FormatSize(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d bytes", n)
	}
	v, unit := float64(n)/1024, 0
	for v >= 999.95 && unit < 5 {
		v, unit = v/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", v, "KMGTPE"[unit])
}

// checkNames checks the names of all entries, and that no two of them conflict.
func (o *Offer) checkNames() error {
	isDir := make(map[string]bool, len(o.Entries)) // by name
	for i := range o.Entries {
		e := &o.Entries[i]
		if err := disk.CheckName(e.Name); err != nil {
			return refused(RefusedName, "invalid name %q: %v", truncate(e.Name, 100), err)
		}
		if _, ok := isDir[e.Name]; ok {
			return refused(RefusedName, "duplicate name %q", truncate(e.Name, 100))
		}
		isDir[e.Name] = e.Dir
	}
	for name := range isDir {
		for parent := path.Dir(name); parent != "."; parent = path.Dir(parent) {
			if dir, ok := isDir[parent]; ok && !dir {
				return refused(RefusedName, "conflicting name %q: both a file and a folder", truncate(parent, 100))
			}
		}
	}
	return nil
}
