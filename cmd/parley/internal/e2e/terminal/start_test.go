package terminal

import (
	"math"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// A package that prepares tables before main begins makes every command slower, completion in a
// shell among them. The least of several measurements does not depend on the load of the machine.
func TestStartOfPackages(t *testing.T) {
	const runs, limit = 7, 12 // ms
	path, err := e2etest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	initialized := regexp.MustCompile(`(?m)^init (\S+) @\S+ ms, (\S+) ms clock`)
	least := map[string]float64{}
	for range runs {
		cmd := exec.Command(path, "version")
		cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("version: %v\n%s", err, out)
		}
		for _, m := range initialized.FindAllStringSubmatch(string(out), -1) {
			ms, err := strconv.ParseFloat(m[2], 64)
			if err != nil {
				t.Fatal(err)
			}
			before, ok := least[m[1]]
			if !ok {
				before = math.Inf(1)
			}
			least[m[1]] = min(before, ms)
		}
	}
	if len(least) == 0 {
		t.Fatal("the runtime reported no package")
	}
	for name, ms := range least {
		if ms > limit {
			t.Errorf("package %s: initialized in %.1f ms, want at most %d ms", name, ms, limit)
		}
	}
}
