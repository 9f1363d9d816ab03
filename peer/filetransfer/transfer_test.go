package filetransfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"parley/peer/filetransfer/internal/disk"
)

// transfer sends paths into a folder.
type transfer struct {
	list       *List // nil: of paths
	paths      []string
	into       string
	overwrite  bool
	breakAfter int64
	options    ReceiveOptions
}

// outcome is the result at both peers.
type outcome struct {
	sendErr, receiveErr error
	moved, skipped      int64 // as the sender counts
	done                []string
	offer               *Offer
}

func (tr transfer) run(t *testing.T) outcome {
	t.Helper()
	if tr.list == nil {
		var err error
		if tr.list, err = Collect(tr.paths, nil); err != nil {
			t.Fatal(err)
		}
	}
	folder, err := OpenFolder(tr.into, tr.overwrite)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := folder.Close(); err != nil {
			t.Error(err)
		}
	}()
	a, b := pair(1000)
	a.breakAfter = tr.breakAfter
	var out outcome
	received := make(chan struct{})
	go func() {
		defer close(received)
		defer b.gone.close()
		out.offer, out.receiveErr = Receive(t.Context(), b, folder, tr.options)
	}()
	out.sendErr = Send(t.Context(), a, tr.list, SendOptions{OnEvent: func(e Event) {
		switch e := e.(type) {
		case Progress:
			if e.Skipped {
				out.skipped += e.Bytes
			} else {
				out.moved += e.Bytes
			}
		case FileDone:
			out.done = append(out.done, e.Entry.Name)
		}
	}})
	<-received
	return out
}

func (o outcome) ok(t *testing.T) outcome {
	t.Helper()
	if o.sendErr != nil || o.receiveErr != nil {
		t.Fatalf("sender: %v; receiver: %v", o.sendErr, o.receiveErr)
	}
	return o
}

// random are bytes that are the same for a seed.
func random(seed uint64, n int) []byte {
	var s [32]byte
	s[0] = byte(seed)
	data := make([]byte, n)
	_, _ = rand.NewChaCha8(s).Read(data)
	return data
}

func write(t *testing.T, path string, data []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestFolderTree(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "made", "for it")
	when := time.UnixMilli(1_600_000_000_123)
	tree := map[string][]byte{"empty": nil, "one": {1}, "sub/deep/big": random(1, 300_001), "sub/ümläut 日本": random(2, 1000)}
	for name, data := range tree {
		path := write(t, filepath.Join(from, "trip", name), data)
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(from, "trip", "hollow"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(from, "trip", "one"), 0o500); err != nil {
		t.Fatal(err)
	}
	single := write(t, filepath.Join(from, "notes.txt"), []byte("ten bytes."))
	out := transfer{paths: []string{filepath.Join(from, "trip"), single}, into: to}.run(t).ok(t)
	if len(out.done) != 5 || out.moved != 300_001+1000+1+10 || out.skipped != 0 {
		t.Errorf("done %v, moved %d, skipped %d", out.done, out.moved, out.skipped)
	}
	for name, want := range tree {
		path := filepath.Join(to, "trip", name)
		if got := read(t, path); !bytes.Equal(got, want) {
			t.Errorf("%s differs", name)
		}
		if info, err := os.Stat(path); err != nil || !info.ModTime().Equal(when) {
			t.Errorf("%s: time %v, %v", name, info.ModTime(), err)
		}
	}
	info, err := os.Stat(filepath.Join(to, "trip", "one"))
	if err != nil || runtime.GOOS != "windows" && info.Mode() != 0o500 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(filepath.Join(to, "trip", "hollow")); err != nil || !info.IsDir() {
		t.Error(info, err)
	}
	if got := read(t, filepath.Join(to, "notes.txt")); string(got) != "ten bytes." {
		t.Errorf("%q", got)
	}
	// Once more: everything is there, nothing moves.
	again := transfer{paths: []string{filepath.Join(from, "trip"), single}, into: to}.run(t).ok(t)
	if again.moved != 0 || len(again.done) != 5 {
		t.Errorf("moved %d again, done %v", again.moved, again.done)
	}
}

func TestResume(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	data := random(3, 500_000)
	path := write(t, filepath.Join(from, "big"), data)
	first := transfer{paths: []string{path}, into: to, breakAfter: 400_000}.run(t)
	if !errors.Is(first.sendErr, ErrBroken) || !errors.Is(first.receiveErr, ErrBroken) {
		t.Fatalf("sender: %v; receiver: %v", first.sendErr, first.receiveErr)
	}
	if !strings.Contains(first.receiveErr.Error(), "kept as the partial file big.parley-part") {
		t.Error(first.receiveErr)
	}
	part := read(t, filepath.Join(to, "big.parley-part"))
	if len(part) < 380_000 || !bytes.HasPrefix(data, part) {
		t.Fatalf("%d bytes are kept", len(part))
	}
	second := transfer{paths: []string{path}, into: to}.run(t).ok(t)
	if second.skipped != int64(len(part)) || second.moved != int64(len(data)-len(part)) {
		t.Errorf("skipped %d, moved %d, with %d there", second.skipped, second.moved, len(part))
	}
	if !bytes.Equal(read(t, filepath.Join(to, "big")), data) {
		t.Error("it differs")
	}
	if got := names(t, to); len(got) != 1 {
		t.Errorf("left behind: %v", got)
	}
}

// A partial file with different content is not resumed.
func TestResumeWithDifferentContent(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	data := random(4, 100_000)
	path := write(t, filepath.Join(from, "big"), data)
	other := bytes.Clone(data[:60_000])
	other[59_999] ^= 1
	write(t, filepath.Join(to, "big.parley-part"), other)
	out := transfer{paths: []string{path}, into: to}.run(t).ok(t)
	if out.skipped != 0 || !bytes.Equal(read(t, filepath.Join(to, "big")), data) {
		t.Errorf("skipped %d", out.skipped)
	}
	// Nor is one that is longer than the file.
	path = write(t, filepath.Join(from, "small"), data[:100])
	write(t, filepath.Join(to, "small.parley-part"), data)
	transfer{paths: []string{path}, into: to}.run(t).ok(t)
	if got := read(t, filepath.Join(to, "small")); !bytes.Equal(got, data[:100]) {
		t.Errorf("%d bytes", len(got))
	}
}

func TestExistingFile(t *testing.T) {
	from := t.TempDir()
	path := write(t, filepath.Join(from, "f"), []byte("new content"))
	for name, old := range map[string]string{"other size": "old", "same size": "old content"} {
		t.Run(name, func(t *testing.T) {
			to := t.TempDir()
			write(t, filepath.Join(to, "f"), []byte(old))
			out := transfer{paths: []string{path}, into: to}.run(t)
			if !strings.Contains(out.sendErr.Error(), "f already exists with different content") ||
				!strings.Contains(out.receiveErr.Error(), "f already exists with different content") {
				t.Errorf("sender: %v; receiver: %v", out.sendErr, out.receiveErr)
			}
			if got := read(t, filepath.Join(to, "f")); string(got) != old {
				t.Errorf("it was replaced: %q", got)
			}
			transfer{paths: []string{path}, into: to, overwrite: true}.run(t).ok(t)
			if got := read(t, filepath.Join(to, "f")); string(got) != "new content" {
				t.Errorf("%q", got)
			}
			if got := names(t, to); len(got) != 1 {
				t.Errorf("left behind: %v", got)
			}
		})
	}
}

func TestRefusal(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "f"), []byte("content"))
	for name, options := range map[string]ReceiveOptions{
		"declined": {Ask: func(context.Context, *Offer) error { return &RefusedError{Code: RefusedDeclined, Reason: "no, thanks"} }},
		"size":     {MaxBytes: 6},
	} {
		t.Run(name, func(t *testing.T) {
			to := t.TempDir()
			out := transfer{paths: []string{path}, into: to, options: options}.run(t)
			var there, here *RefusedError
			if !errors.As(out.sendErr, &there) || !errors.As(out.receiveErr, &here) || there.Code != name || here.Code != name ||
				!there.ByPeer || here.ByPeer || there.Reason != here.Reason {
				t.Errorf("sender: %#v; receiver: %#v", out.sendErr, out.receiveErr)
			}
			if got := names(t, to); len(got) != 0 {
				t.Errorf("left behind: %v", got)
			}
		})
	}
}

// A cancelled offer cancels the question about it.
func TestSenderCancelsDuringAsk(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "f"), []byte("content"))
	asked := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	list, err := Collect([]string{path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	folder, err := OpenFolder(t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	a, b := pair(1000)
	sent := make(chan error)
	go func() { sent <- Send(ctx, a, list, SendOptions{}) }()
	go func() { <-asked; cancel() }()
	_, err = Receive(t.Context(), b, folder, ReceiveOptions{Ask: func(ctx context.Context, o *Offer) error {
		close(asked)
		<-ctx.Done()
		return nil
	}})
	var over *FailedError
	if !errors.As(err, &over) || over.Code != FailedCancelled || !over.ByPeer {
		t.Errorf("receiver: %v", err)
	}
	if err := <-sent; !errors.Is(err, context.Canceled) {
		t.Errorf("sender: %v", err)
	}
}

func TestSparse(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	const size = 256 << 20
	path := filepath.Join(from, "sparse")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{10 << 20, 200 << 20} {
		if _, err := f.WriteAt(random(5, 100_000), at); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || disk.Allocated(info) > size/2 {
		t.Fatalf("%s: its file system has no sparse files (%v); set TMPDIR to one that has", path, err)
	}
	out := transfer{paths: []string{path}, into: to}.run(t).ok(t)
	if out.moved > 1<<20 || out.moved+out.skipped != size {
		t.Errorf("moved %d, skipped %d", out.moved, out.skipped)
	}
	info, err := os.Stat(filepath.Join(to, "sparse"))
	if err != nil || info.Size() != size || disk.Allocated(info) > 2<<20 {
		t.Errorf("%d bytes, %d stored, %v", info.Size(), disk.Allocated(info), err)
	}
	if a, b := sha256.Sum256(read(t, path)), sha256.Sum256(read(t, filepath.Join(to, "sparse"))); a != b {
		t.Error("it differs")
	}
}

// A file that shrinks while it is sent is not stored as a complete one.
func TestFileShrinksWhileSent(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "f"), random(6, 100_000))
	list, err := Collect([]string{path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 50_000); err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	out := transfer{list: list, into: to}.run(t)
	var here, there *FailedError
	if !errors.As(out.sendErr, &here) || !errors.As(out.receiveErr, &there) || here.Code != FailedRead || there.Code != FailedRead {
		t.Errorf("sender: %v; receiver: %v", out.sendErr, out.receiveErr)
	}
	if got := names(t, to); len(got) != 0 {
		t.Errorf("left behind: %v", got)
	}
}

// A partial file is locked while a transfer writes it.
func TestConcurrentTransfersOfOneName(t *testing.T) {
	to := t.TempDir()
	path := write(t, filepath.Join(t.TempDir(), "f"), random(7, 100_000))
	root, err := os.OpenRoot(to)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	other, err := disk.OpenPartial(t.Context(), root, disk.File{Name: "f", Size: 10, Mode: 0o666})
	if err != nil {
		t.Fatal(err)
	}
	out := transfer{paths: []string{path}, into: to}.run(t)
	var there *FailedError
	if !errors.As(out.sendErr, &there) || there.Code != FailedDisk || !strings.Contains(out.sendErr.Error(), "f is being received by another transfer") {
		t.Errorf("sender: %v", out.sendErr)
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
	transfer{paths: []string{path}, into: to}.run(t).ok(t)
}

// A file created while another one of its name is received is not replaced.
func TestFileAppearsDuringTransfer(t *testing.T) {
	to := t.TempDir()
	root, err := os.OpenRoot(to)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	e := &Entry{Name: "f", Size: 4, Mode: 0o666}
	p, err := disk.OpenPartial(t.Context(), root, e.file())
	if err == nil {
		err = p.Append([]byte("late"))
	}
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(to, "f"), []byte("early"))
	if err := p.Finish(false); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
	if got := read(t, filepath.Join(to, "f")); string(got) != "early" {
		t.Errorf("it was replaced: %q", got)
	}
	if got := read(t, filepath.Join(to, "f.parley-part")); string(got) != "late" {
		t.Errorf("what came is not kept: %q", got)
	}
}

func TestCollect(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "d", "f"), []byte("x"))
	if err := os.Symlink("/etc", filepath.Join(dir, "d", "link")); err != nil {
		t.Fatal(err)
	}
	var skipped []string
	l, err := Collect([]string{filepath.Join(dir, "d")}, func(path, why string) { skipped = append(skipped, filepath.Base(path)+" "+why) })
	if err != nil || len(l.Entries) != 2 || l.Entries[1].Name != "d/f" || len(skipped) != 1 || skipped[0] != "link symbolic link" {
		t.Errorf("%+v, skipped %v, %v", l, skipped, err)
	}
	if _, err := Collect([]string{filepath.Join(dir, "d", "f"), write(t, filepath.Join(dir, "f"), nil)}, nil); err == nil || !strings.Contains(err.Error(), "duplicate name") {
		t.Error(err)
	}
	if _, err := Collect([]string{os.DevNull}, nil); err == nil || !strings.Contains(err.Error(), "neither a file nor a folder") {
		t.Error(err)
	}
	if _, err := Collect([]string{filepath.Join(dir, "missing")}, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// A name in a folder that cannot be sent is skipped with the reason, and the rest is listed. As an
// argument it is an error.
func TestCollectSkipsInvalidNames(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	write(t, filepath.Join(dir, "good"), []byte("x"))
	want := map[string]string{}
	for name, reason := range map[string]string{
		"caf\xe9":                  "name is not UTF-8",
		"line\nbreak":              "name contains control characters",
		"big" + disk.PartialSuffix: "name ends in .parley-part, which marks partial files",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err == nil { // not every system allows them
			want[name] = reason
		}
	}
	if os.Mkdir(filepath.Join(dir, "r\xe9sum\xe9s"), 0o700) == nil {
		write(t, filepath.Join(dir, "r\xe9sum\xe9s", "inside"), nil)
		want["r\xe9sum\xe9s"] = "name is not UTF-8"
	}
	got := map[string]string{}
	l, err := Collect([]string{dir}, func(path, reason string) { got[filepath.Base(path)] = reason })
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Entries) != 2 || l.Entries[1].Name != "d/good" || !maps.Equal(got, want) {
		t.Errorf("got %+v, skipped %q, want skipped %q", l.Entries, got, want)
	}
	if _, err := Collect([]string{filepath.Join(dir, "big"+disk.PartialSuffix)}, nil); err == nil || !strings.Contains(err.Error(), "marks partial files") {
		t.Errorf("argument: got %v", err)
	}
}
