//go:build !quick

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestFairnessToTCP checks that a TCP connection with CUBIC keeps its share of a bottleneck that it
// has filled when parley pipe starts to send the same way, and that both get through.
func TestFairnessToTCP(t *testing.T) {
	const binary = "PARLEY_BULK_BINARY"
	if os.Getenv(namespaceVariable) == "" {
		parley := filepath.Join(t.TempDir(), "parley")
		build := exec.Command("go", "build", "-o", parley, "parley/cmd/parley")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		t.Setenv(binary, parley)
		if _, err := inNamespace([]string{"-test.run=^" + t.Name() + "$", "-test.v"}, os.Stdout); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, n := range networks() {
		if !n.tcp {
			continue
		}
		r, err := n.over(func(way *detour) (result, error) { return measurePipe(os.Getenv(binary), way, 6*time.Second) })
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: parley %s Mbit/s, TCP %s Mbit/s, queueing delay %v", n.name, short(r.rate()), short(r.tcp), r.queue)
		if r.queue < 2*time.Millisecond {
			t.Errorf("mean queueing delay %v: the link is no bottleneck", r.queue)
		}
		if share := r.tcp / (r.tcp + r.rate()); share < .4 || share > .99 {
			t.Errorf("TCP gets %.2f of the throughput, want 0.4 to 0.99", share)
		}
	}
}
