package media_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestImports checks the direction of imports below media: no package imports signal, peer or cmd,
// and only device needs C or pion/mediadevices.
func TestImports(t *testing.T) {
	checked := 0
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" {
			return err
		}
		checked++
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		device := strings.HasPrefix(filepath.ToSlash(path), "device/")
		for _, spec := range file.Imports {
			imported := strings.Trim(spec.Path.Value, `"`)
			switch {
			case strings.HasPrefix(imported, "parley/") && imported != "parley/media" && !strings.HasPrefix(imported, "parley/media/"),
				!device && imported == "C",
				!device && strings.HasPrefix(imported, "github.com/pion/mediadevices"):
				t.Errorf("%s imports %s", path, imported)
			}
		}
		return nil
	})
	if err != nil || checked < 20 {
		t.Fatalf("checked %d files: %v", checked, err)
	}
}
