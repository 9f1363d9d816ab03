//go:build !quick

package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestAttacks runs the attacks that take little time, with fewer clients, and in a machine that may
// be busy: being late does not count.
func TestAttacks(t *testing.T) {
	parley := filepath.Join(t.TempDir(), "parley")
	if out, err := exec.Command("go", "build", "-o", parley, "parley/cmd/parley").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	p := plan{
		parley: parley, honest: 20, quiet: 300 * time.Millisecond, span: time.Second, late: lateness{factor: 1, slack: patience},
		only: regexp.MustCompile(`^(S2|S3|S8|S10|S11|S12|S14|S15|S18|S19)$`),
	}
	var table bytes.Buffer
	noticed, err := p.run(t.Context(), &table)
	if err != nil {
		t.Fatal(err)
	}
	if rows := strings.Count(table.String(), "\n| S"); noticed || rows != 10 {
		t.Errorf("got %d rows, want 10 of which nothing is noticed:\n%s", rows, &table)
	}
}
