package files

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
)

// A Folder is where files are received. Nothing is read or written outside, not
// even through links that are in it.
type Folder struct {
	root      *os.Root
	overwrite bool
}

// OpenFolder opens a folder to receive in, and makes it if there is none.
// overwrite allows to replace files that are there; else such a transfer is
// refused.
func OpenFolder(dir string, overwrite bool) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &Folder{root, overwrite}, nil
}

// Close gives the folder back.
func (f *Folder) Close() error { return f.root.Close() }

// plan is what a folder has of an offer.
type plan struct {
	folder *Folder
	offer  *Offer
	parts  map[int]*part // broken transfers that can go on
	whole  map[int]had   // files of the same size that are there already
}

// mostParts is how many broken files of one offer are taken up again: a
// transfer that breaks leaves one.
const mostParts = 16

// refuses tells why an offer cannot be received, by names, files that are there
// and space.
func (f *Folder) refuses(o *Offer) error {
	if err := o.check(); err != nil {
		return err
	}
	var needed int64
	for i := range o.Entries {
		e := &o.Entries[i]
		there, err := f.there(e)
		if err != nil {
			return err
		}
		needed += max(e.Data-there, 0)
	}
	if free, known := space(f.root.Name()); known && needed > free {
		return &Refused{Code: CodeSpace, Reason: fmt.Sprintf("there is no room: %s are needed, and %s are free", Size(needed), Size(free))}
	}
	return nil
}

// there is how many bytes of an entry are there, whole or as a part. The error
// is that of something in its way.
func (f *Folder) there(e *Entry) (int64, error) {
	for dir := path.Dir(e.Name); dir != "."; dir = path.Dir(dir) {
		if info, err := f.root.Stat(dir); err == nil && !info.IsDir() {
			return 0, exists("%s is there and is no folder", dir)
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, &Refused{Code: CodeName, Reason: fmt.Sprintf("%s cannot be stored: %v", e.Name, cause(err))}
		}
	}
	info, err := f.root.Lstat(e.Name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f.partSize(e), nil
	case err != nil:
		return 0, &Refused{Code: CodeName, Reason: fmt.Sprintf("%s cannot be stored: %v", e.Name, cause(err))}
	case e.Dir && isFolder(f.root, e.Name):
		return 0, nil
	case e.Dir || !info.Mode().IsRegular():
		return 0, exists("%s is there and is of another kind", e.Name)
	case info.Size() == e.Size:
		return e.Size, nil
	case !f.overwrite:
		return 0, exists("%s is there already, with other content", e.Name)
	}
	return f.partSize(e), nil
}

func exists(format string, a ...any) error {
	return &Refused{Code: CodeExists, Reason: fmt.Sprintf(format, a...)}
}

// cause is an error without the path, which it shares with the sentence around.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func isFolder(root *os.Root, name string) bool {
	info, err := root.Stat(name)
	return err == nil && info.IsDir()
}

func (f *Folder) partSize(e *Entry) int64 {
	info, err := f.root.Lstat(partName(e.Name))
	if e.Dir || err != nil || !info.Mode().IsRegular() || info.Size() > e.Size {
		return 0
	}
	return info.Size()
}

// prepare looks at what is there of an offer that is wanted, for the sender to
// know.
func (f *Folder) prepare(ctx context.Context, o *Offer) (*plan, error) {
	p := &plan{folder: f, offer: o, parts: map[int]*part{}, whole: map[int]had{}}
	for i := range o.Entries {
		if err := p.look(ctx, i); err != nil {
			p.close()
			return nil, err
		}
	}
	return p, nil
}

func (p *plan) look(ctx context.Context, i int) error {
	e := &p.offer.Entries[i]
	if e.Dir {
		return nil
	}
	root := p.folder.root
	if info, err := root.Lstat(e.Name); err == nil && info.Mode().IsRegular() && info.Size() == e.Size {
		f, err := root.Open(e.Name)
		if err != nil {
			return disk(e, err)
		}
		defer func() { _ = f.Close() }() // it was only read
		sum := sha256.New()
		if err := hashBytes(ctx, sum, f, e.Size); err != nil {
			return disk(e, err)
		}
		p.whole[i] = had{e.Size, sum.Sum(nil)}
		return nil
	}
	if p.folder.partSize(e) == 0 || len(p.parts) == mostParts {
		return nil
	}
	part, err := openPart(ctx, root, e)
	if err != nil {
		return disk(e, err)
	}
	p.parts[i] = part
	return nil
}

// disk is the error of a file that cannot be stored.
func disk(e *Entry, err error) error {
	var known *Failed
	if errors.As(err, &known) || errors.Is(err, context.Canceled) {
		return err
	}
	return failed(FailedDisk, "failed to store %s: %w", e.Name, err)
}

// begin opens the part of a file at offset.
func (p *plan) begin(ctx context.Context, i int, offset int64) (*part, error) {
	e := &p.offer.Entries[i]
	if _, same := p.whole[i]; same && !p.folder.overwrite {
		return nil, failed(FailedExists, "%s is there already, with other content", e.Name)
	}
	part := p.parts[i]
	delete(p.parts, i)
	var err error
	if part == nil {
		if dir := path.Dir(e.Name); dir != "." {
			err = p.folder.root.MkdirAll(dir, 0o777)
		}
		if err == nil {
			part, err = openPart(ctx, p.folder.root, e)
		}
	}
	if err == nil && part.size != offset {
		if offset != 0 {
			err = failed(FailedProtocol, "%s begins at %d, where nothing was before", e.Name, offset)
		} else {
			err = part.reset()
		}
		if err != nil {
			_ = part.close()
		}
	}
	if err != nil {
		return nil, disk(e, err)
	}
	return part, nil
}

// folders makes the folders of an offer.
func (p *plan) folders() error {
	for i := range p.offer.Entries {
		if e := &p.offer.Entries[i]; e.Dir {
			if err := p.folder.root.MkdirAll(e.Name, e.Mode.Perm()|0o700); err != nil {
				return disk(e, err)
			}
		}
	}
	return nil
}

// times gives the folders their times, once nothing is put into them any more.
func (p *plan) times() {
	for i := len(p.offer.Entries) - 1; i >= 0; i-- {
		if e := &p.offer.Entries[i]; e.Dir && !e.Time.IsZero() {
			_ = p.folder.root.Chtimes(e.Name, e.Time, e.Time) // not every file system keeps them
		}
	}
}

func (p *plan) close() {
	for _, part := range p.parts {
		_ = part.close() // nothing was written
	}
}
