package peer

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestCopies checks that the copies of Pion's packages differ from the originals only in the files
// that third_party/README.md lists.
func TestCopies(t *testing.T) {
	readme, err := os.ReadFile("third_party/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, module, version string
		added                 []string // files that the original does not have
	}{
		{"sctp", "github.com/pion/sctp", "v1.11.1", []string{"congestion.go"}},
		{"dtls", "github.com/pion/dtls/v3", "v3.1.8", []string{"direct.go"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, section, found := strings.Cut(string(readme), "\n## "+c.name+"\n")
			section, _, _ = strings.Cut(section, "\n## ")
			if !found || !strings.Contains(section, c.version) {
				t.Fatalf("README.md has no section %s with the version %s", c.name, c.version)
			}
			ours, theirs := goFiles(t, filepath.Join("third_party", c.name)), goFiles(t, moduleFolder(t, c.module+"@"+c.version))
			for name, text := range theirs {
				changed := strings.Contains(section, "`"+name+"`")
				if equal := bytes.Equal(text, ours[name]); equal == changed {
					t.Errorf("%s: README.md lists it as changed: %t, equal to %s: %t", name, changed, c.version, equal)
				}
			}
			var added []string
			for name := range ours {
				if theirs[name] == nil {
					added = append(added, name)
				}
			}
			if slices.Sort(added); !slices.Equal(added, c.added) {
				t.Errorf("files that %s does not have: %v, want %v", c.version, added, c.added)
			}
		})
	}
}

// moduleFolder downloads a module, and returns where it is.
func moduleFolder(t *testing.T, module string) string {
	t.Helper()
	download := exec.Command("go", "mod", "download", "-json", module)
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
	return original.Dir
}

// goFiles returns the texts of the Go files below a folder, and of go.mod, by path, without tests
// and examples.
func goFiles(t *testing.T, folder string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(folder), ".", func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && (path == "examples" || path == "e2e"):
			return fs.SkipDir
		case e.IsDir() || strings.HasSuffix(path, "_test.go") || !strings.HasSuffix(path, ".go") && path != "go.mod":
			return nil
		}
		files[path], err = os.ReadFile(filepath.Join(folder, path))
		return err
	})
	if err != nil || len(files) < 2 {
		t.Fatalf("failed to read %s: %d files, %v", folder, len(files), err)
	}
	return files
}
