// Command parley is a WebRTC peer for the terminal.
package main

import (
	"context"
	"os"

	"parley/cmd/parley/internal/cli"
	"parley/cmd/parley/internal/stdio"
)

func main() {
	os.Exit(int(cli.Run(context.Background(), stdio.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, os.Args)))
}
