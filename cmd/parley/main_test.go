package main

import (
	"context"
	"fmt"
	_ "image/jpeg"
	_ "image/png"
	"os"
	"testing"

	"go.uber.org/goleak"

	"parley/cmd/parley/internal/cli"
	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/cmd/parley/internal/stdio"
)

// TestMain makes the test binary run as parley too, for scripts. Neither may leave a goroutine
// behind.
func TestMain(m *testing.M) {
	e2etest.Main(m, map[string]func(){"parley": func() {
		code := cli.Run(context.Background(), stdio.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, os.Args)
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "LEAK:", err)
			code = 99
		}
		os.Exit(int(code))
	}})
}
