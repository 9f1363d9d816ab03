package files

import (
	"io/fs"
	"time"
)

// An Entry is one file or folder of a transfer.
type Entry struct {
	// Name is relative, with "/" between its parts. The other side's has been
	// checked to be one that can be stored, but not to be one that can be
	// printed.
	Name string
	Dir  bool
	// Size is the length of a file, Data how much of it is no hole.
	Size, Data int64
	Mode       fs.FileMode // permission bits
	Time       time.Time   // of the last modification; zero if not known
}

// An Offer is what is to be sent.
type Offer struct {
	// ID is the random name of the transfer; one that is taken up again after a
	// break has the same.
	ID      string
	Entries []Entry
}

// Bytes is the size of all files.
func (o *Offer) Bytes() (n int64) {
	for i := range o.Entries {
		n += o.Entries[i].Size
	}
	return n
}

// Files is how many entries are no folders.
func (o *Offer) Files() (n int) {
	for i := range o.Entries {
		if !o.Entries[i].Dir {
			n++
		}
	}
	return n
}

// next is the index of the first file at or after i.
func (o *Offer) next(i int) int {
	for i < len(o.Entries) && o.Entries[i].Dir {
		i++
	}
	return i
}

// Event is something that happened in a transfer: one of the types below.
type Event interface{ event() }

type (
	// Began tells that the bytes of a file begin; the first Offset ones are
	// there already.
	Began struct {
		Entry  *Entry
		Offset int64
	}
	// Done tells that a file is there, whole and verified.
	Done struct {
		Entry  *Entry
		SHA256 []byte
	}
	// Moved tells that so many more bytes went by; Skipped ones did not have to
	// go over the network.
	Moved struct {
		Bytes   int64
		Skipped bool
	}
	// Accepted tells that the receiver takes the files.
	Accepted struct{}
	// Warned tells of something that is not as it should be, and does not end
	// the transfer.
	Warned struct{ Text string }
)

func (Began) event()    {}
func (Done) event()     {}
func (Moved) event()    {}
func (Accepted) event() {}
func (Warned) event()   {}
