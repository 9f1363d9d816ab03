package files

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// A List is what is to be sent, and where it is on this machine.
type List struct {
	Offer
	paths []string // of the entries
}

// Collect lists files and folders, with all that is in them. Each gets the last
// part of its path as its name. Links inside a folder, devices and the like are
// not sent; skipped is told about each. Nil tells nobody.
func Collect(paths []string, skipped func(path, why string)) (*List, error) {
	if skipped == nil {
		skipped = func(string, string) {}
	}
	l := &List{Offer: Offer{ID: rand.Text()}}
	for _, p := range paths {
		if err := l.add(p, skipped); err != nil {
			return nil, err
		}
	}
	var refused *Refused
	if err := l.check(); errors.As(err, &refused) {
		return nil, errors.New(refused.Reason)
	}
	return l, nil
}

// add lists one operand, which may be a link.
func (l *List) add(p string, skipped func(string, string)) error {
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
		return fmt.Errorf("%s has no name to be sent under; name what is in it", p)
	}
	if !info.IsDir() {
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is neither a file nor a folder; parley pipe sends what comes out of it", p)
		}
		return l.append(abs, name, info)
	}
	root, err := filepath.EvalSymlinks(abs) // WalkDir follows no link, not even here
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
		return l.append(at, path.Join(name, filepath.ToSlash(inside)), info)
	})
}

func kind(m fs.FileMode) string {
	if m&fs.ModeSymlink != 0 {
		return "a link"
	}
	return "no file"
}

// append adds one entry. A file that cannot be read is known before anybody is
// called.
func (l *List) append(at, name string, info fs.FileInfo) error {
	if len(l.paths) >= maxEntries {
		return fmt.Errorf("there are more than %d files; send an archive of them", maxEntries)
	}
	e := Entry{Name: name, Dir: info.IsDir(), Mode: info.Mode().Perm(), Time: info.ModTime()}
	if !e.Dir {
		f, err := os.Open(at)
		if err != nil {
			return err
		}
		e.Size, e.Data = info.Size(), min(stored(info), info.Size())
		if err := f.Close(); err != nil {
			return err
		}
		if e.Size > maxSize {
			return fmt.Errorf("%s has more than %d bytes", at, int64(maxSize))
		}
	}
	l.Entries, l.paths = append(l.Entries, e), append(l.paths, at)
	return nil
}
