//go:build !quick

package nats

import (
	"os/exec"
	"strings"
	"testing"
)

// TestImports checks that no other package imports nats.go, and that of the project the packages
// below import only cluster.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "parley/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	const own = "parley/signal/cluster/nats"
	below := 0
	for line := range strings.Lines(string(out)) {
		path, imports, _ := strings.Cut(strings.TrimSpace(line), " ")
		for _, i := range strings.Fields(imports) {
			if strings.HasPrefix(i, "github.com/nats-io/nats.go") && path != own {
				t.Errorf("%s imports %s, want that only %s does", path, i, own)
			}
			if strings.HasPrefix(path, own+"/") && strings.HasPrefix(i, "parley/") && i != "parley/signal/cluster" {
				t.Errorf("%s imports %s, want only parley/signal/cluster of the project", path, i)
			}
		}
		if strings.HasPrefix(path, own+"/") {
			below++
		}
	}
	if below == 0 {
		t.Errorf("go list has found no package below %s", own)
	}
}
