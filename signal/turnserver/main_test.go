package turnserver

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestImports checks that the TURN server depends on no package but ratelimit, not on signaling,
// peers or media, and that only it and two clients use pion/turn.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, dep := range strings.Fields(string(out)) {
		if strings.HasPrefix(dep, "parley/") && dep != "parley/signal/turnserver" && dep != "parley/signal/internal/ratelimit" {
			t.Errorf("the TURN server must not import %s", dep)
		}
	}
	out, err = exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "parley/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	users := []string{"parley/signal/turnserver", "parley/peer/netcheck", "parley/signal/signaltest/attacks"}
	for line := range strings.Lines(string(out)) {
		path, _, _ := strings.Cut(line, " ")
		if strings.Contains(line, "github.com/pion/turn/") && !slices.Contains(users, path) {
			t.Errorf("%s imports pion/turn, want only %s", path, strings.Join(users, ", "))
		}
	}
}
