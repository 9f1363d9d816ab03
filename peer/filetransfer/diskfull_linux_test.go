//go:build linux

package filetransfer

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A sender that understates the size fills the disk. The test mounts a file system, which needs root.
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
	var refused *RefusedError
	if !errors.As(honest.sendErr, &refused) || refused.Code != RefusedSpace || !strings.Contains(refused.Reason, "3.0 MiB needed, 1.0 MiB free") {
		t.Error(honest.sendErr)
	}
	list.Entries[0].Data = 0
	out := transfer{list: list, into: into}.run(t)
	var there *FailedError
	if !errors.As(out.sendErr, &there) || there.Code != FailedDisk || !strings.Contains(out.sendErr.Error(), "no space left on the disk; the partial file is f.parley-part") {
		t.Errorf("sender: %v; receiver: %v", out.sendErr, out.receiveErr)
	}
	if part := read(t, filepath.Join(into, "f.parley-part")); len(part) < 900<<10 {
		t.Errorf("%d bytes are kept", len(part))
	}
}
