package cli

import (
	"context"
	"io"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/devices"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/stdio"
	"parley/media/device"
	"parley/media/device/inventory"
)

func devicesCommand(std stdio.Streams) *cli.Command {
	return &cli.Command{
		Name:  "devices",
		Usage: "list cameras, microphones, speakers, screens and encoders",
		Description: `ID is the value of --video camera:ID, --video screen:ID and --audio microphone:ID; a number from 0 or a part
of the name works too. Each camera is opened for a moment, but no frame is captured.`,
		Flags: []cli.Flag{
			config.String("output", "human", "`FORMAT`: human, ndjson: one JSON object a line, or json: one object"),
		},
		OnUsageError: config.UsageError,
		Action: func(_ context.Context, cmd *cli.Command) error {
			write, ok := map[string]func(io.Writer, inventory.All) error{
				"human": devices.WriteTable, "ndjson": devices.WriteNDJSON, "json": devices.WriteJSON,
			}[cmd.String("output")]
			if !ok {
				return exit.Usagef("invalid --output %q: want human, ndjson or json", cmd.String("output"))
			}
			return write(std.Out, device.List())
		},
	}
}
