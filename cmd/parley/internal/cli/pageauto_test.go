package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/serve/flags"
	"parley/cmd/parley/internal/stdio"
)

// TestServePageAuto checks --page-auto and its environment variable. Without either the server
// decides.
func TestServePageAuto(t *testing.T) {
	for _, c := range []struct{ flags, env, want string }{
		{"", "", "default"}, {"--page-auto", "", "true"}, {"--page-auto=false", "", "false"},
		{"", "true", "true"}, {"", "false", "false"}, {"--page-auto", "false", "true"},
	} {
		t.Run(c.flags+" "+c.env, func(t *testing.T) {
			if c.env != "" {
				t.Setenv("PARLEY_SERVE_PAGE_AUTO", c.env)
			}
			std := stdio.Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}
			command := serveCommand(std)
			got := "default"
			command.Action = func(_ context.Context, cmd *cli.Command) error {
				o, err := flags.Read(cmd, std.Err)
				if o.PageAuto != nil {
					got = fmt.Sprint(*o.PageAuto)
				}
				return err
			}
			if err := command.Run(t.Context(), append([]string{"serve"}, strings.Fields(c.flags)...)); err != nil || got != c.want {
				t.Errorf("got %s, %v, want %s", got, err, c.want)
			}
		})
	}
}
