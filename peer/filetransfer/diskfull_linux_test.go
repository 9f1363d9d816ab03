//go:build linux

package filetransfer

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// namespaced is set in the environment of a test process that has a user and a mount namespace.
const namespaced = "PARLEY_TEST_NAMESPACED"

// A sender that understates the size fills the disk. The test mounts a file system, in a user
// namespace where it may not do that here.
func TestDiskFull(t *testing.T) {
	into := filepath.Join(t.TempDir(), "small")
	if err := os.Mkdir(into, 0o700); err != nil {
		t.Fatal(err)
	}
	switch err := unix.Mount("none", into, "tmpfs", 0, "size=1m"); {
	case err == nil:
	case os.Getenv(namespaced) != "":
		t.Fatal("a file system cannot be mounted in a user namespace: ", err)
	default:
		runInNamespaces(t)
		return
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

// runInNamespaces runs this test in a process with a user and a mount namespace of its own.
func runInNamespaces(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), namespaced+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("in a user namespace, which the test needs unless it runs as root: %v\n%s", err, out)
	}
}
