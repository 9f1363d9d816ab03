package files

import (
	"errors"
	"fmt"
)

// Refused is the error of a transfer that one side did not want. What Ask
// returns as *Refused is said to the sender.
type Refused struct {
	// Code is one of the Code constants; the other side's may be any word.
	Code string
	// Reason is a sentence for people. The other side's is as it came: quote it
	// before printing.
	Reason string
	// ByPeer tells that the other side refused.
	ByPeer bool
}

// Codes of refusals.
const (
	CodeDeclined    = "declined"
	CodeSize        = "size"
	CodeSpace       = "space"
	CodeExists      = "exists"
	CodeName        = "name"
	CodeLimit       = "limit"
	CodeVersion     = "version"
	CodeUnsupported = "unsupported"
)

// Error implements error.
func (r *Refused) Error() string { return r.Reason }

// Failed is the error of a transfer that one side could not go on with.
type Failed struct {
	// Code is one of the Failed constants; the other side's may be any word.
	Code string
	// Err is a sentence; of the other side's, quote it before printing.
	Err error
	// ByPeer tells that the other side told it.
	ByPeer bool
}

// Codes of failures.
const (
	FailedDisk      = "disk"      // the receiver cannot store
	FailedRead      = "read"      // the sender cannot read
	FailedSize      = "size"      // more or fewer bytes than announced
	FailedHash      = "hash"      // other bytes than announced
	FailedExists    = "exists"    // a file of other content is there
	FailedProtocol  = "protocol"  // a message that must not come now
	FailedCancelled = "cancelled" // a person ended it
)

// Error implements error.
func (f *Failed) Error() string { return f.Err.Error() }

func (f *Failed) Unwrap() error { return f.Err }

// ErrBroken is the reason of a transfer whose channel closed, or failed, before
// it was over. It goes on where it was when the same files are sent again.
var ErrBroken = errors.New("the channel closed before all files were there")

func failed(code, format string, a ...any) error {
	return &Failed{Code: code, Err: fmt.Errorf(format, a...)}
}

func broken(err error) error { return fmt.Errorf("%w: %w", ErrBroken, err) }
