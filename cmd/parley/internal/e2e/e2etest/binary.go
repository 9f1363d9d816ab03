package e2etest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// Build is one of the ways to build parley.
type Build struct {
	// Name is for messages.
	Name string
	// Path returns the path of the binary, which is built on first use.
	Path func() (string, error)
	// Decodes lists the video codecs that it decodes without ffmpeg.
	Decodes []string
}

// Builds are all of them, the one with the most features last.
var Builds = []Build{
	{"no cgo", buildWith("CGO_ENABLED=0"), []string{"VP8"}},
	{"cgo", Binary, []string{"H264", "VP8"}},
	{"vpx", buildWith("CGO_ENABLED=1", "-tags", "vpx"), []string{"H264", "VP8", "VP9"}},
}

// Binary returns the path of parley as plain go build makes it.
var Binary = buildWith("")

// buildWith returns a function that builds parley on its first call and returns the path of the
// binary.
func buildWith(variable string, args ...string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		dir, err := binaries.make()
		if err != nil {
			return "", err
		}
		path := filepath.Join(dir, "parley")
		cmd := exec.Command("go", append(append([]string{"build"}, args...), "-o", path, "parley/cmd/parley")...)
		if variable != "" {
			cmd.Env = append(os.Environ(), variable)
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("go build: %w\n%s", err, out)
		}
		return path, nil
	})
}

// binaries are the folders of the binaries that this process has built.
var binaries folders

// folders are temporary folders that are removed together.
type folders struct {
	mu  sync.Mutex // guards all
	all []string
}

func (f *folders) make() (string, error) {
	dir, err := os.MkdirTemp("", "parley")
	if err != nil {
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, dir)
	return dir, nil
}

func (f *folders) remove() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for _, dir := range f.all {
		errs = append(errs, os.RemoveAll(dir))
	}
	return errors.Join(errs...)
}

// Start runs the binary of a build in the background, with env as its environment. Without $PATH it
// finds no ffmpeg.
func (b Build) Start(t *testing.T, env []string, args ...string) *Process {
	t.Helper()
	path, err := b.Path()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = env
	return Launch(t, cmd, args)
}
