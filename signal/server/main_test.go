package server_test

import (
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestImports pins the direction of imports: a server knows neither calls nor media.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "parley/signal/server").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	if len(deps) < 50 {
		t.Fatalf("go list named only %d packages", len(deps))
	}
	for _, dep := range deps {
		if strings.HasPrefix(dep, "parley/") && !strings.HasPrefix(dep, "parley/signal") || strings.HasPrefix(dep, "github.com/pion/") || dep == "parley/signal/client" {
			t.Errorf("signal/server imports %s", dep)
		}
	}
}
