// Package bench measures streams beside those of ffmpeg and aiortc.
package bench

import (
	"context"
	"fmt"
	"os"
	"testing"

	"parley/cmd/parley/internal/cli"
	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/cmd/parley/internal/stdio"
	"parley/peer/peertest/costs"
)

const (
	profiledProgram = "parley-profiled"
	profileVariable = "PARLEY_BENCH_PROFILE" // of a profiledProgram: the path of its CPU profile
)

func TestMain(m *testing.M) { e2etest.Main(m, map[string]func(){profiledProgram: runProfiled}) }

// runProfiled is parley, which writes a CPU profile.
func runProfiled() {
	stop, err := costs.Start(os.Getenv(profileVariable))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := cli.Run(context.Background(), stdio.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, os.Args)
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(int(code))
}
