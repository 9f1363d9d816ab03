package files

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path"
	"time"
)

// part is a file under way: NAME.parley-part, locked against other transfers.
type part struct {
	root *os.Root
	name string // of the part
	file *os.File
	sum  hash.Hash // of what was written
	size int64     // what was written
	hole bool      // it ends with a hole, so the file is shorter than size
}

// partName is the name of the part of a file; one that would be too long for a
// file system is shortened and marked with a hash of itself.
func partName(name string) string {
	dir, base := path.Split(name)
	if len(base)+len(partSuffix) > maxPart {
		sum := sha256.Sum256([]byte(base))
		mark := "~" + hex.EncodeToString(sum[:6])
		base = base[:border(base, maxPart-len(partSuffix)-len(mark))] + mark
	}
	return dir + base + partSuffix
}

// openPart opens the part of an entry, and makes it if there is none. What it
// holds is hashed already.
func openPart(ctx context.Context, root *os.Root, e *Entry) (p *part, err error) {
	for range 3 {
		if p, err = openPartOnce(ctx, root, e); !errors.Is(err, errReplaced) {
			break
		}
	}
	return p, err
}

// errReplaced is the reason when a transfer before this one finished its part,
// or removed it, just now.
var errReplaced = errors.New("another transfer of this name has just ended")

func openPartOnce(ctx context.Context, root *os.Root, e *Entry) (*part, error) {
	p := &part{root: root, name: partName(e.Name), sum: sha256.New()}
	flags := os.O_RDWR
	before, err := root.Lstat(p.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		flags |= os.O_CREATE | os.O_EXCL
	case err != nil:
		return nil, err
	case !before.Mode().IsRegular():
		return nil, fmt.Errorf("%s is there and is no file", p.name)
	}
	if p.file, err = root.OpenFile(p.name, flags, e.Mode.Perm()|0o600); err != nil {
		if errors.Is(err, fs.ErrExist) || flags&os.O_CREATE == 0 && errors.Is(err, fs.ErrNotExist) {
			err = errReplaced
		}
		return nil, err
	}
	if err := p.load(ctx, e); err != nil {
		_ = p.file.Close()
		return nil, err
	}
	return p, nil
}

// load locks a part and hashes what it holds.
func (p *part) load(ctx context.Context, e *Entry) error {
	if err := p.lock(ctx); err != nil {
		return fmt.Errorf("%s is being received already", e.Name)
	}
	opened, err := p.file.Stat()
	if err != nil {
		return err
	}
	// Before it was locked, it may have got its name as a whole file.
	if named, err := p.root.Lstat(p.name); err != nil || !os.SameFile(named, opened) {
		return errReplaced
	}
	if opened.Size() == 0 || opened.Size() > e.Size {
		return p.reset()
	}
	p.size = opened.Size()
	return hashBytes(ctx, p.sum, p.file, p.size)
}

// lockPatience is how long a part may be locked: a transfer that has broken
// closes its part a moment later.
const lockPatience = 3 * time.Second

// lock keeps other transfers out.
func (p *part) lock(ctx context.Context) error {
	late := time.After(lockPatience)
	for {
		err := lock(p.file)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-late:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// reset throws away what was received.
func (p *part) reset() error {
	p.sum, p.size, p.hole = sha256.New(), 0, false
	return p.file.Truncate(0)
}

// blockSize is the unit in which holes are left.
const blockSize = 4096

// write appends bytes; a whole run of zeros becomes a hole.
func (p *part) write(data []byte) error {
	p.sum.Write(data)
	if len(data) >= blockSize && bytes.Equal(data, zeros[:min(len(data), len(zeros))]) {
		p.size, p.hole = p.size+int64(len(data)), true
		return nil
	}
	if _, err := p.file.WriteAt(data, p.size); err != nil {
		return err
	}
	p.size, p.hole = p.size+int64(len(data)), false
	return nil
}

// skip appends n bytes of value zero.
func (p *part) skip(ctx context.Context, n int64) error {
	if err := hashZeros(ctx, p.sum, n); err != nil {
		return err
	}
	p.size, p.hole = p.size+n, true
	return nil
}

// close keeps the part for later, if there is anything in it. A hole at its end
// becomes part of it.
func (p *part) close() error {
	if p.size == 0 {
		return errors.Join(p.file.Close(), p.root.Remove(p.name))
	}
	var err error
	if p.hole {
		err = p.file.Truncate(p.size)
	}
	return errors.Join(err, p.file.Close())
}

// discard throws the part away.
func (p *part) discard() error { return errors.Join(p.file.Close(), p.root.Remove(p.name)) }

// finish gives a part that is whole its name, mode and time.
func (p *part) finish(e *Entry, overwrite bool) error {
	if p.hole {
		if err := p.file.Truncate(p.size); err != nil {
			return err
		}
	}
	if e.Mode&0o200 == 0 {
		if info, err := p.file.Stat(); err == nil {
			_ = p.file.Chmod(info.Mode().Perm() &^ 0o222) // a file system without modes keeps none
		}
	}
	if err := p.file.Close(); err != nil {
		return err
	}
	if !e.Time.IsZero() {
		_ = p.root.Chtimes(p.name, e.Time, e.Time) // the same
	}
	if overwrite {
		return p.root.Rename(p.name, e.Name)
	}
	return place(p.root, p.name, e.Name)
}

// place renames a file, but never over another one.
func place(root *os.Root, from, to string) error {
	err := root.Link(from, to)
	switch {
	case err == nil:
		return root.Remove(from)
	case errors.Is(err, fs.ErrExist):
		return err
	}
	// A file system without links, such as that of a memory stick.
	if _, err := root.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return &fs.PathError{Op: "rename", Path: to, Err: fs.ErrExist}
	}
	return root.Rename(from, to)
}
