package signal

import (
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestImports keeps the package a leaf: it imports the standard library and golang.org/x/text only.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{join .Deps "\n"}}`, "parley/signal").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	if len(deps) < 20 {
		t.Fatalf("go list named only %d packages", len(deps))
	}
	for _, dep := range deps {
		first, _, _ := strings.Cut(dep, "/")
		if dep != "parley/signal" && first == "parley" || strings.Contains(first, ".") && !strings.HasPrefix(dep, "golang.org/x/text/") {
			t.Errorf("signal imports %s", dep)
		}
	}
}
