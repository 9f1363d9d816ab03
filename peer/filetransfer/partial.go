package filetransfer

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

// partialSuffix ends the name of a partial file.
const partialSuffix = ".parley-part"

// partialFile is an incomplete file, NAME.parley-part, locked against other transfers.
type partialFile struct {
	root *os.Root
	name string // with partialSuffix
	file *os.File
	hash hash.Hash // of the bytes written
	size int64     // bytes written
	hole bool      // the last bytes are a hole, so the file is shorter than size
}

// partialName returns the name of the partial file of an entry. A name that would be too long for a
// file system is shortened and marked with a hash of itself.
func partialName(name string) string {
	dir, base := path.Split(name)
	if len(base)+len(partialSuffix) > maxPart {
		sum := sha256.Sum256([]byte(base))
		mark := "~" + hex.EncodeToString(sum[:6])
		base = base[:runeStart(base, maxPart-len(partialSuffix)-len(mark))] + mark
	}
	return dir + base + partialSuffix
}

// errReplaced is the error of openPartial when another transfer renamed or removed the file
// meanwhile.
var errReplaced = errors.New("another transfer of this name has just ended")

// openPartial opens or creates the partial file of an entry and hashes what it contains.
func openPartial(ctx context.Context, root *os.Root, e *Entry) (p *partialFile, err error) {
	for range 3 {
		if p, err = tryOpenPartial(ctx, root, e); !errors.Is(err, errReplaced) {
			break
		}
	}
	return p, err
}

func tryOpenPartial(ctx context.Context, root *os.Root, e *Entry) (*partialFile, error) {
	p := &partialFile{root: root, name: partialName(e.Name), hash: sha256.New()}
	flags := os.O_RDWR
	info, err := root.Lstat(p.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		flags |= os.O_CREATE | os.O_EXCL
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s exists and is not a regular file", p.name)
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

// load locks the file and hashes what it contains.
func (p *partialFile) load(ctx context.Context, e *Entry) error {
	if err := p.lock(ctx); err != nil {
		return fmt.Errorf("%s is being received by another transfer", e.Name)
	}
	opened, err := p.file.Stat()
	if err != nil {
		return err
	}
	// The transfer that had the lock may have completed the file and renamed it.
	if named, err := p.root.Lstat(p.name); err != nil || !os.SameFile(named, opened) {
		return errReplaced
	}
	if opened.Size() == 0 || opened.Size() > e.Size {
		return p.reset()
	}
	p.size = opened.Size()
	return hashFile(ctx, p.hash, p.file, p.size)
}

// lockTimeout bounds the wait for a lock: a broken transfer closes its file a moment later.
const lockTimeout = 3 * time.Second

func (p *partialFile) lock(ctx context.Context) error {
	timeout := time.After(lockTimeout)
	for {
		err := lock(p.file)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-timeout:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// reset removes the content.
func (p *partialFile) reset() error {
	p.hash, p.size, p.hole = sha256.New(), 0, false
	return p.file.Truncate(0)
}

// blockSize is the smallest hole in bytes.
const blockSize = 4096

// write appends bytes. A chunk of zeros becomes a hole.
func (p *partialFile) write(data []byte) error {
	p.hash.Write(data)
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

// writeZeros appends a hole of n bytes.
func (p *partialFile) writeZeros(ctx context.Context, n int64) error {
	if err := hashZeros(ctx, p.hash, n); err != nil {
		return err
	}
	p.size, p.hole = p.size+n, true
	return nil
}

// truncate makes a hole at the end part of the file.
func (p *partialFile) truncate() error {
	if !p.hole {
		return nil
	}
	return p.file.Truncate(p.size)
}

// close closes the file and keeps it for a resumed transfer, unless it is empty.
func (p *partialFile) close() error {
	if p.size == 0 {
		return p.discard()
	}
	return errors.Join(p.truncate(), p.file.Close())
}

// discard closes and removes the file.
func (p *partialFile) discard() error { return errors.Join(p.file.Close(), p.root.Remove(p.name)) }

// finish gives a complete file its name, mode and time.
func (p *partialFile) finish(e *Entry, overwrite bool) error {
	if err := p.truncate(); err != nil {
		return err
	}
	if e.Mode&0o200 == 0 {
		if info, err := p.file.Stat(); err == nil {
			_ = p.file.Chmod(info.Mode().Perm() &^ 0o222) // not supported by every file system
		}
	}
	if err := p.file.Close(); err != nil {
		return err
	}
	if !e.Time.IsZero() {
		_ = p.root.Chtimes(p.name, e.Time, e.Time) // not supported by every file system
	}
	if overwrite {
		return p.root.Rename(p.name, e.Name)
	}
	return renameNoReplace(p.root, p.name, e.Name)
}

// renameNoReplace renames a file. It returns fs.ErrExist if there is one of the new name.
func renameNoReplace(root *os.Root, from, to string) error {
	err := root.Link(from, to)
	switch {
	case err == nil:
		return root.Remove(from)
	case errors.Is(err, fs.ErrExist):
		return err
	}
	// The file system, such as FAT, has no hard links.
	if _, err := root.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return &fs.PathError{Op: "rename", Path: to, Err: fs.ErrExist}
	}
	return root.Rename(from, to)
}
