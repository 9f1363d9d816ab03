//go:build linux

package files

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A disk that is full in the middle of a file, because the sender hid what it
// needs. It takes a file system of its own, which only root can mount.
func TestDiskFull(t *testing.T) {
	into := filepath.Join(t.TempDir(), "small")
	if err := os.Mkdir(into, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", into, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip("no file system can be mounted here:", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(into, 0); err != nil {
			t.Error(err)
		}
	})
	list, err := Collect([]string{write(t, filepath.Join(t.TempDir(), "f"), random(9, 3<<20))}, nil)
	if err != nil {
		t.Fatal(err)
	}
	honest := transfer{list: list, into: into}.run(t)
	var refused *Refused
	if !errors.As(honest.sendErr, &refused) || refused.Code != CodeSpace || !strings.Contains(refused.Reason, "3.0 MiB are needed, and 1.0 MiB are free") {
		t.Error(honest.sendErr)
	}
	list.Entries[0].Data = 0
	out := transfer{list: list, into: into}.run(t)
	var there *Failed
	if !errors.As(out.sendErr, &there) || there.Code != FailedDisk || !strings.Contains(out.sendErr.Error(), "the disk is full; what came is kept in f.parley-part") {
		t.Errorf("sender: %v; receiver: %v", out.sendErr, out.receiveErr)
	}
	if part := read(t, filepath.Join(into, "f.parley-part")); len(part) < 900<<10 {
		t.Errorf("%d bytes are kept", len(part))
	}
}
