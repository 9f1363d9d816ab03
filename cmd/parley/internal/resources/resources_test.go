package resources

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"parley/cmd/parley/internal/event"
)

// TestCapturesOfExistingFiles: a file that others could read is restricted before anything is in
// it.
func TestCapturesOfExistingFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "call.pcapng")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := CreatePrivate("pcap", path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 || info.Size() != 0 {
		t.Errorf("the file has mode %v and %d bytes, want 0600 and none", info.Mode(), info.Size())
	}
}

// The keys of calls go to the end of a file that only its owner can read from then on.
func TestKeyLogOfExistingFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte("old\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv(keyLogVariable, path)
	report := event.NewReporter(event.Options{Out: io.Discard, Err: io.Discard})
	r := New(report, slog.New(slog.DiscardHandler), nil)
	if err := r.Open(Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.KeyLog.Write([]byte("new\n")); err != nil {
		t.Fatal(err)
	}
	r.Close()
	if err := report.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if string(text) != "old\nnew\n" || err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v and %q, %v; want 0600 and both lines", info.Mode(), text, err)
	}
}
