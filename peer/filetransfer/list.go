package filetransfer

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"parley/peer/filetransfer/internal/disk"
)

// A List is an offer and the paths of its entries on this machine.
type List struct {
	Offer
	paths []string // of the entries
}

// Collect lists files and folders with everything in them. The name of each is the last part of its
// path. Symbolic links inside a folder, devices and the like, and names that cannot be sent are
// left out; skipped, if not nil, is called for each with the reason.
func Collect(paths []string, skipped func(path, reason string)) (*List, error) {
	if skipped == nil {
		skipped = func(string, string) {}
	}
	l := &List{Offer: Offer{ID: rand.Text()}}
	for _, p := range paths {
		if err := l.add(p, skipped); err != nil {
			return nil, err
		}
	}
	var refused *RefusedError
	if err := l.checkNames(); errors.As(err, &refused) {
		return nil, errors.New(refused.Reason)
	}
	return l, nil
}

// add lists a file or folder, which may be a symbolic link.
func (l *List) add(p string, skipped func(path, reason string)) error {
	abs, err := filepath.Abs(p)
	if err != nil {
		return err
	}
	info, err := os.Stat(abs)
	if err != nil {
		return err
	}
	name := filepath.Base(abs)
	if name == string(filepath.Separator) || filepath.VolumeName(abs) == abs {
		return fmt.Errorf("%s has no name: send the files and folders in it", p)
	}
	if !info.IsDir() {
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is neither a file nor a folder: send its output with parley pipe", p)
		}
		return l.append(abs, name, info)
	}
	root, err := filepath.EvalSymlinks(abs) // WalkDir does not follow its root
	if err != nil {
		return err
	}
	return filepath.WalkDir(root, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !info.IsDir() && !info.Mode().IsRegular() {
			skipped(at, kind(info.Mode()))
			return nil
		}
		inside, err := filepath.Rel(root, at)
		if err != nil {
			return err
		}
		entry := path.Join(name, filepath.ToSlash(inside))
		if err := disk.CheckName(entry); err != nil && at != root {
			skipped(at, err.Error())
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		return l.append(at, entry, info)
	})
}

func kind(m fs.FileMode) string {
	if m&fs.ModeSymlink != 0 {
		return "symbolic link"
	}
	return "not a regular file"
}

// append adds one entry. It opens a file to report one that cannot be read before the call.
func (l *List) append(at, name string, info fs.FileInfo) error {
	if len(l.paths) >= maxEntries {
		return fmt.Errorf("more than %d files: send an archive", maxEntries)
	}
	e := Entry{Name: name, Dir: info.IsDir(), Mode: info.Mode().Perm(), Time: info.ModTime()}
	if !e.Dir {
		f, err := os.Open(at)
		if err != nil {
			return err
		}
		e.Size, e.Data = info.Size(), min(disk.Allocated(info), info.Size())
		if err := f.Close(); err != nil {
			return err
		}
		if e.Size > maxSize {
			return fmt.Errorf("%s is too large: got %d bytes, want at most %d", at, e.Size, int64(maxSize))
		}
	}
	l.Entries, l.paths = append(l.Entries, e), append(l.paths, at)
	return nil
}
