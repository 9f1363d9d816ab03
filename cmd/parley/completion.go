package main

import (
	"context"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
)

// describeCompletion shows the library's own command in --help.
func describeCompletion(c *cli.Command) {
	c.Hidden = false
	c.Action = func(ctx context.Context, cmd *cli.Command) error {
		if shell := cmd.Args().First(); shell != "" {
			return exit.Usagef("there is no completion for %q; there is one for bash, zsh, fish and pwsh", sanitize.Text(shell))
		}
		return cli.ShowSubcommandHelp(cmd)
	}
	c.Usage = "print a script that completes commands and flags in a shell"
	c.Description = `The shells are bash, zsh, fish and pwsh.

   source <(parley completion bash)                                   # this shell
   parley completion bash > /etc/bash_completion.d/parley             # every shell
   parley completion fish > ~/.config/fish/completions/parley.fish`
}
