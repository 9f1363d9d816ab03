package terminal

import (
	"slices"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// TestTopicInATerminal: a topic has the columns of the terminal that shows it, and is Markdown in a
// pipe.
func TestTopicInATerminal(t *testing.T) {
	path, err := e2etest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	for command, heading := range map[string]string{"": "Operation", " | cat": "## Operation"} {
		x := e2etest.StartTmux(t, 140, 500, path+" help cluster"+command+"; exec sleep 1000")
		x.Shows(heading, func(rows []string) bool { return slices.Contains(rows, heading) })
	}
}
