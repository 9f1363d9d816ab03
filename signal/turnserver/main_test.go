package turnserver

import (
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestImports checks that the TURN server does not depend on signaling, peers or media, and that
// only it and the client of peer/netcheck use pion/turn.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, dep := range strings.Fields(string(out)) {
		if strings.HasPrefix(dep, "parley/") && dep != "parley/signal/turnserver" {
			t.Errorf("the TURN server must not import %s", dep)
		}
	}
	out, err = exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "parley/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "github.com/pion/turn/") && !strings.HasPrefix(line, "parley/signal/turnserver ") && !strings.HasPrefix(line, "parley/peer/netcheck ") {
			t.Errorf("only the TURN server and netcheck may import pion/turn: %s", line)
		}
	}
}
