package peer

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestCopyOfSCTP checks that the copy of pion/sctp differs from the original only in the files that
// third_party/README.md lists.
func TestCopyOfSCTP(t *testing.T) {
	const folder = "third_party/sctp"
	download := exec.Command("go", "mod", "download", "-json", "github.com/pion/sctp@v1.11.1")
	download.Dir = t.TempDir() // where no go.mod replaces it
	download.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	out, err := download.Output()
	if err != nil {
		t.Fatalf("go mod download: %v\n%s", err, out)
	}
	var original struct{ Dir string }
	if err := json.Unmarshal(out, &original); err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("third_party/README.md")
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := goFiles(t, folder), goFiles(t, original.Dir)
	for name, text := range theirs {
		changed := strings.Contains(string(readme), "| `"+name+"` |")
		if equal := bytes.Equal(text, ours[name]); equal == changed {
			t.Errorf("%s: README.md lists it as changed: %t, equal to v1.11.1: %t", name, changed, equal)
		}
	}
	var added []string
	for name := range ours {
		if theirs[name] == nil {
			added = append(added, name)
		}
	}
	if slices.Sort(added); !slices.Equal(added, []string{"congestion.go"}) {
		t.Errorf("files that v1.11.1 does not have: %v", added)
	}
}

// goFiles returns the texts of the Go files of a folder, and of go.mod, by name, without tests.
func goFiles(t *testing.T, folder string) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no Go files in %s: %v", folder, err)
	}
	files := map[string][]byte{}
	for _, path := range append(paths, filepath.Join(folder, "go.mod")) {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		if files[filepath.Base(path)], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	return files
}
