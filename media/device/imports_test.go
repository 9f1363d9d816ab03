package device

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// TestImports checks that device and the packages below it import only packages below media of the
// project, and no package of mediadevices that writes to stderr when the program starts, has the
// symbols of OpenH264, or ends the process with a display.
func TestImports(t *testing.T) {
	files, err := filepath.Glob("*.go")
	below, _ := filepath.Glob("*/*.go")
	files = append(files, below...)
	if err != nil || len(files) == 0 {
		t.Fatalf("found no files: %v", err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			path := strings.Trim(spec.Path.Value, `"`)
			if strings.HasPrefix(path, "parley/") && !strings.HasPrefix(path+"/", "parley/media/") {
				t.Errorf("%s imports %s", name, path)
			}
			for _, bad := range []string{"driver/microphone", "codec/x264", "codec/vpx", "driver/screen"} {
				if strings.HasSuffix(path, "mediadevices/pkg/"+bad) {
					t.Errorf("%s imports %s", name, path)
				}
			}
		}
	}
}
