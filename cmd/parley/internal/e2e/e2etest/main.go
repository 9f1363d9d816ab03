// Package e2etest runs the binary of parley, as a user builds it, beside tests.
package e2etest

import (
	"fmt"
	"os"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// Main runs the tests of a package and exits. It ends the browsers, removes the binaries that were
// built, and fails if a goroutine is left. programs maps the names of programs, which the tests
// find in $PATH, to functions that the test binary runs as these programs.
func Main(m testscript.TestingM, programs map[string]func()) {
	testscript.Main(checked{Browsers().Around(m)}, programs)
}

// checked is a run of tests that leaves nothing behind.
type checked struct{ testscript.TestingM }

// Run implements testscript.TestingM.
func (c checked) Run() int {
	code := c.TestingM.Run()
	if err := binaries.remove(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}
