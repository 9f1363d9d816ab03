package filetransfer

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path"

	"parley/peer/filetransfer/internal/disk"
)

// A Folder stores received files. It neither reads nor writes outside, not even through symbolic
// links in it.
type Folder struct {
	root      *os.Root
	overwrite bool
}

// OpenFolder opens a folder and creates it if it does not exist. Without overwrite, a transfer that
// would replace files is refused. The caller closes the folder.
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

// Close closes the folder.
func (f *Folder) Close() error { return f.root.Close() }

// checkOffer returns a *RefusedError if an offer cannot be stored because of its names, existing
// files or the free space.
func (f *Folder) checkOffer(o *Offer) error {
	if err := o.checkNames(); err != nil {
		return err
	}
	var needed int64
	for i := range o.Entries {
		e := &o.Entries[i]
		existing, err := f.existingBytes(e)
		if err != nil {
			return err
		}
		needed += max(e.Data-existing, 0)
	}
	if free, known := disk.FreeSpace(f.root.Name()); known && needed > free {
		return refused(RefusedSpace, "not enough disk space: %s needed, %s free", FormatSize(needed), FormatSize(free))
	}
	return nil
}

// existingBytes returns the number of bytes of an entry that exist, in its file or its partial
// file. It returns a *RefusedError if something else has the name.
func (f *Folder) existingBytes(e *Entry) (int64, error) {
	for dir := path.Dir(e.Name); dir != "."; dir = path.Dir(dir) {
		if info, err := f.root.Stat(dir); err == nil && !info.IsDir() {
			return 0, refused(RefusedExists, "%s already exists and is not a folder", dir)
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, refused(RefusedName, "cannot store %s: %v", e.Name, withoutPath(err))
		}
	}
	info, err := f.root.Lstat(e.Name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f.partialBytes(e), nil
	case err != nil:
		return 0, refused(RefusedName, "cannot store %s: %v", e.Name, withoutPath(err))
	case e.Dir && f.isDir(e.Name):
		return 0, nil
	case e.Dir:
		return 0, refused(RefusedExists, "%s already exists and is not a folder", e.Name)
	case !info.Mode().IsRegular():
		return 0, refused(RefusedExists, "%s already exists and is not a regular file", e.Name)
	case info.Size() == e.Size:
		return e.Size, nil
	case !f.overwrite:
		return 0, refused(RefusedExists, "%s already exists with different content", e.Name)
	}
	return f.partialBytes(e), nil
}

// withoutPath returns an error without its path, which the sentence around it names.
func withoutPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// isDir reports whether a name is that of a folder or of a symbolic link to one.
func (f *Folder) isDir(name string) bool {
	info, err := f.root.Stat(name)
	return err == nil && info.IsDir()
}

// partialBytes returns the size of an entry's partial file, 0 if it cannot be resumed.
func (f *Folder) partialBytes(e *Entry) int64 {
	info, err := f.root.Lstat(disk.PartialName(e.Name))
	if e.Dir || err != nil || !info.Mode().IsRegular() || info.Size() > e.Size {
		return 0
	}
	return info.Size()
}

// destination is a folder with what it contains of an accepted offer.
type destination struct {
	folder   *Folder
	offer    *Offer
	partials map[int]*disk.PartialFile // by entry
	complete map[int]prefix            // files of the offered size, by entry
}

// maxPartials is the number of partial files of one offer that are resumed. A broken transfer
// leaves one.
const maxPartials = 16

// open hashes what the folder contains of an offer. The caller closes the destination.
func (f *Folder) open(ctx context.Context, o *Offer) (*destination, error) {
	d := &destination{folder: f, offer: o, partials: map[int]*disk.PartialFile{}, complete: map[int]prefix{}}
	for i := range o.Entries {
		if err := d.inspect(ctx, i); err != nil {
			d.close()
			return nil, err
		}
	}
	return d, nil
}

func (d *destination) inspect(ctx context.Context, i int) error {
	e := &d.offer.Entries[i]
	if e.Dir {
		return nil
	}
	root := d.folder.root
	if info, err := root.Lstat(e.Name); err == nil && info.Mode().IsRegular() && info.Size() == e.Size {
		f, err := root.Open(e.Name)
		if err != nil {
			return diskError(e, err)
		}
		defer func() { _ = f.Close() }() // it was only read
		sum := sha256.New()
		if err := disk.HashFile(ctx, sum, f, e.Size); err != nil {
			return diskError(e, err)
		}
		d.complete[i] = prefix{e.Size, sum.Sum(nil)}
		return nil
	}
	if d.folder.partialBytes(e) == 0 || len(d.partials) == maxPartials {
		return nil
	}
	p, err := disk.OpenPartial(ctx, root, e.file())
	if err != nil {
		return diskError(e, err)
	}
	d.partials[i] = p
	return nil
}

// prefix returns what the destination contains of a file, false if that is nothing.
func (d *destination) prefix(i int) (prefix, bool) {
	if p := d.partials[i]; p != nil && p.Size() > 0 {
		return prefix{p.Size(), p.Sum()}, true
	}
	have, ok := d.complete[i]
	return have, ok
}

// diskError returns the error of a file that cannot be stored.
func diskError(e *Entry, err error) error {
	var known *FailedError
	if errors.As(err, &known) || errors.Is(err, context.Canceled) {
		return err
	}
	return failed(FailedDisk, "failed to store %s: %w", e.Name, err)
}

// openFile returns the partial file of an entry for writing at offset. The caller closes it.
func (d *destination) openFile(ctx context.Context, i int, offset int64) (*disk.PartialFile, error) {
	e := &d.offer.Entries[i]
	if _, ok := d.complete[i]; ok && !d.folder.overwrite {
		return nil, failed(FailedExists, "%s already exists with different content", e.Name)
	}
	p := d.partials[i]
	delete(d.partials, i)
	var err error
	if p == nil {
		if dir := path.Dir(e.Name); dir != "." {
			err = d.folder.root.MkdirAll(dir, 0o777)
		}
		if err == nil {
			p, err = disk.OpenPartial(ctx, d.folder.root, e.file())
		}
	}
	if err == nil && p.Size() != offset {
		if offset != 0 {
			err = failed(FailedProtocol, "invalid offset of %s: got %d, want 0 or %d", e.Name, offset, p.Size())
		} else {
			err = p.Reset()
		}
		if err != nil {
			_ = p.Close()
		}
	}
	if err != nil {
		return nil, diskError(e, err)
	}
	return p, nil
}

// makeFolders creates the folders of the offer.
func (d *destination) makeFolders() error {
	for i := range d.offer.Entries {
		if e := &d.offer.Entries[i]; e.Dir {
			if err := d.folder.root.MkdirAll(e.Name, e.Mode.Perm()|0o700); err != nil {
				return diskError(e, err)
			}
		}
	}
	return nil
}

// setFolderTimes sets the modification times of the folders, after the last file was created.
func (d *destination) setFolderTimes() {
	for i := len(d.offer.Entries) - 1; i >= 0; i-- {
		if e := &d.offer.Entries[i]; e.Dir && !e.Time.IsZero() {
			_ = d.folder.root.Chtimes(e.Name, e.Time, e.Time) // not supported by every file system
		}
	}
}

// close closes the partial files that were not written to.
func (d *destination) close() {
	for _, p := range d.partials {
		_ = p.Close()
	}
}

// A prefix is the first bytes of a file that the receiver has.
type prefix struct {
	size   int64
	sha256 []byte
}
