// Package disk reads and stores the files of a transfer: names that the system takes, partial files
// that a broken transfer leaves for the next one, and holes of sparse files.
package disk

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
	"unicode/utf8"
)

// PartialSuffix ends the name of a partial file.
const PartialSuffix = ".parley-part"

// File describes a file that is received.
type File struct {
	Name string      // slash-separated, below a root
	Size int64       // bytes
	Mode fs.FileMode // of which the permission bits are used
	Time time.Time   // of modification, zero for none
}

// PartialFile is an incomplete file, NAME.parley-part, locked against other transfers.
type PartialFile struct {
	root  *os.Root
	final File   // when it is complete
	name  string // with PartialSuffix
	file  *os.File
	hash  hash.Hash // of the bytes written
	size  int64     // bytes written
	hole  bool      // the last bytes are a hole, so the file is shorter than size
}

// PartialName returns the name of the partial file of a file. A name that would be too long for a
// file system is shortened and marked with a hash of itself.
func PartialName(name string) string {
	dir, base := path.Split(name)
	if len(base)+len(PartialSuffix) > maxPart {
		sum := sha256.Sum256([]byte(base))
		mark := "~" + hex.EncodeToString(sum[:6])
		end := maxPart - len(PartialSuffix) - len(mark)
		for !utf8.RuneStart(base[end]) {
			end--
		}
		base = base[:end] + mark
	}
	return dir + base + PartialSuffix
}

// errReplaced is the error of OpenPartial when another transfer renamed or removed the file
// meanwhile.
var errReplaced = errors.New("another transfer of this name has just ended")

// OpenPartial opens or creates the partial file of a file below root, and hashes what it contains.
// More than the size of the file is removed. The caller ends it by Close, Discard or Finish.
func OpenPartial(ctx context.Context, root *os.Root, f File) (p *PartialFile, err error) {
	for range 3 {
		if p, err = tryOpenPartial(ctx, root, f); !errors.Is(err, errReplaced) {
			break
		}
	}
	return p, err
}

func tryOpenPartial(ctx context.Context, root *os.Root, f File) (*PartialFile, error) {
	p := &PartialFile{root: root, final: f, name: PartialName(f.Name), hash: sha256.New()}
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
	if p.file, err = root.OpenFile(p.name, flags, f.Mode.Perm()|0o600); err != nil {
		if errors.Is(err, fs.ErrExist) || flags&os.O_CREATE == 0 && errors.Is(err, fs.ErrNotExist) {
			err = errReplaced
		}
		return nil, err
	}
	if err := p.load(ctx); err != nil {
		_ = p.file.Close()
		return nil, err
	}
	return p, nil
}

// load locks the file and hashes what it contains.
func (p *PartialFile) load(ctx context.Context) error {
	if err := p.lock(ctx); err != nil {
		return fmt.Errorf("%s is being received by another transfer", p.final.Name)
	}
	opened, err := p.file.Stat()
	if err != nil {
		return err
	}
	// The transfer that had the lock may have completed the file and renamed it.
	if named, err := p.root.Lstat(p.name); err != nil || !os.SameFile(named, opened) {
		return errReplaced
	}
	if opened.Size() == 0 || opened.Size() > p.final.Size {
		return p.Reset()
	}
	p.size = opened.Size()
	return HashFile(ctx, p.hash, p.file, p.size)
}

// lockTimeout bounds the wait for a lock: a broken transfer closes its file a moment later.
const lockTimeout = 3 * time.Second

func (p *PartialFile) lock(ctx context.Context) error {
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

// Name returns the name of the partial file.
func (p *PartialFile) Name() string { return p.name }

// Size returns the number of bytes that the file has.
func (p *PartialFile) Size() int64 { return p.size }

// Sum returns the SHA-256 of the bytes that the file has.
func (p *PartialFile) Sum() []byte { return p.hash.Sum(nil) }

// Reset removes the content.
func (p *PartialFile) Reset() error {
	p.hash, p.size, p.hole = sha256.New(), 0, false
	return p.file.Truncate(0)
}

// blockSize is the smallest hole in bytes.
const blockSize = 4096

// Append appends bytes. A chunk of zeros becomes a hole.
func (p *PartialFile) Append(data []byte) error {
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

// AppendZeros appends a hole of n bytes.
func (p *PartialFile) AppendZeros(ctx context.Context, n int64) error {
	if err := HashZeros(ctx, p.hash, n); err != nil {
		return err
	}
	p.size, p.hole = p.size+n, true
	return nil
}

// truncate makes a hole at the end part of the file.
func (p *PartialFile) truncate() error {
	if !p.hole {
		return nil
	}
	return p.file.Truncate(p.size)
}

// Close closes the file and keeps it for a resumed transfer, unless it is empty.
func (p *PartialFile) Close() error {
	if p.size == 0 {
		return p.Discard()
	}
	return errors.Join(p.truncate(), p.file.Close())
}

// Discard closes and removes the file.
func (p *PartialFile) Discard() error { return errors.Join(p.file.Close(), p.root.Remove(p.name)) }

// Finish gives a complete file its name, mode and time. It returns fs.ErrExist if there is a file
// of the name, unless that is to be overwritten.
func (p *PartialFile) Finish(overwrite bool) error {
	if err := p.truncate(); err != nil {
		return err
	}
	if p.final.Mode&0o200 == 0 {
		if info, err := p.file.Stat(); err == nil {
			_ = p.file.Chmod(info.Mode().Perm() &^ 0o222) // not supported by every file system
		}
	}
	if err := p.file.Close(); err != nil {
		return err
	}
	if !p.final.Time.IsZero() {
		_ = p.root.Chtimes(p.name, p.final.Time, p.final.Time) // not supported by every file system
	}
	if overwrite {
		return p.root.Rename(p.name, p.final.Name)
	}
	return renameNoReplace(p.root, p.name, p.final.Name)
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
