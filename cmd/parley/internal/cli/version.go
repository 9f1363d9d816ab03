package cli

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/stdio"
	"parley/media"
	"parley/media/device"
)

func versionCommand(std stdio.Streams) *cli.Command {
	return &cli.Command{
		Name:         "version",
		Usage:        "print the version and what this build can do",
		OnUsageError: config.UsageError,
		Flags:        []cli.Flag{config.String("schema", "", "print the JSON schema of `WHAT` instead: event (of --output ndjson), command (of --input ndjson) or adapter (of --signaling)")},
		Action: func(_ context.Context, cmd *cli.Command) error {
			if name := cmd.String("schema"); name != "" {
				text, err := event.Schema(name)
				if err != nil {
					return exit.Usagef("--schema: %w", err)
				}
				fmt.Fprint(std.Out, text)
				return nil
			}
			fmt.Fprintf(std.Out, "parley %s (%s, %s/%s, cgo %s)\n", config.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH, cgo())
			if c := config.Commit(); c != "" {
				fmt.Fprintf(std.Out, "commit %s\n", c)
			}
			fmt.Fprintf(std.Out, "encodes devices to: %s\n", encoders())
			for _, l := range device.Lacks() {
				fmt.Fprintf(std.Out, "missing: %s\n", l)
			}
			return nil
		},
	}
}

// encoders are the names of what cameras and microphones are encoded to.
func encoders() string {
	var names []string
	for _, c := range device.Codecs() {
		names = append(names, media.CodecName(c))
	}
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}

// cgo reports whether this build was made with a C compiler, as on or off.
func cgo() string {
	info, _ := debug.ReadBuildInfo()
	if info != nil {
		for _, s := range info.Settings {
			if s.Key == "CGO_ENABLED" && s.Value == "1" {
				return "on"
			}
		}
	}
	return "off"
}
