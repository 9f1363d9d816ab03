package peer

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The packages meet in cmd; peer knows neither signaling nor media.
func TestImports(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range f.Imports {
			path := strings.Trim(spec.Path.Value, `"`)
			if path == "parley/peer" && file == "example_test.go" {
				continue // as others import it
			}
			below := strings.HasPrefix(path, "parley/peer/") && (path != "parley/peer/peertest" || strings.HasSuffix(file, "_test.go"))
			if strings.HasPrefix(path, "parley/") && !below || strings.Contains(path, "gorilla") || strings.Contains(path, "mediadevices") {
				t.Errorf("%s imports %s", file, path)
			}
		}
	}
}

// must turns two values, of which the second is an error, into one.
func must[V any](v V, err error) func(*testing.T) V {
	return func(t *testing.T) V {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
