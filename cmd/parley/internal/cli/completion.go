package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/stdio"
)

// powerShellCompletion replaces the library's script, which runs the word that is completed, and
// which completes only what is named as the file of the script.
const powerShellCompletion = `Register-ArgumentCompleter -Native -CommandName parley -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = @($commandAst.CommandElements | Select-Object -Skip 1 |
        Where-Object { $_.Extent.EndOffset -lt $cursorPosition } | ForEach-Object { $_.ToString() })
    if ($wordToComplete.StartsWith('-')) { $words += $wordToComplete }
    & parley @words --generate-shell-completion 2>$null | ForEach-Object {
        $name, $text = $_ -split ':', 2
        if (-not $text) { $text = $name }
        if ($name.StartsWith($wordToComplete)) {
            [System.Management.Automation.CompletionResult]::new($name, $name, 'ParameterValue', $text)
        }
    }
}
`

// bashCompletion replaces the library's script, which evaluates the line that is completed, with
// the commands in it, and which needs the package bash-completion.
const bashCompletion = `_parley() {
    local cur=${COMP_WORDS[COMP_CWORD]} line names=''
    local -a words=("${COMP_WORDS[@]:1:COMP_CWORD-1}")
    [[ $cur != -* ]] || words+=("$cur")
    while IFS= read -r line; do names+="${line%%:*} "; done < <(parley "${words[@]}" --generate-shell-completion 2>/dev/null)
    COMPREPLY=($(compgen -W "$names" -- "$cur"))
}
complete -o bashdefault -o default -F _parley parley
`

// setCompletion makes the library's command of completion one with the shell as its operand, so
// that it has the same --help as other commands.
func setCompletion(std stdio.Streams, c *cli.Command) {
	scripts := c.Commands // one for each shell
	var shells []string
	for _, s := range scripts {
		shells = append(shells, s.Name)
	}
	c.Commands, c.Hidden, c.ArgsUsage = nil, false, "SHELL"
	c.Usage = "print a script that completes commands and flags"
	c.Description = `Prints the script for SHELL: ` + strings.Join(shells, ", ") + `.

   source <(parley completion bash)                            # this shell
   parley completion bash > /etc/bash_completion.d/parley      # every shell
   parley completion fish > ~/.config/fish/completions/parley.fish`
	c.Action = func(ctx context.Context, cmd *cli.Command) error {
		shell := cmd.Args().First()
		if shell == "" {
			return cli.ShowCommandHelp(ctx, cmd.Root(), c.Name)
		}
		i := slices.Index(shells, shell)
		if i < 0 {
			return exit.Usagef("invalid shell %q: want %s", sanitize.Text(shell), strings.Join(shells, ", "))
		}
		switch shell {
		case "bash":
			_, err := io.WriteString(std.Out, bashCompletion)
			return err
		case "pwsh":
			_, err := io.WriteString(std.Out, powerShellCompletion)
			return err
		}
		return scripts[i].Action(ctx, cmd)
	}
	c.ShellComplete = func(context.Context, *cli.Command) { fmt.Fprintln(std.Out, strings.Join(shells, "\n")) }
	withHelp(c, columnsOf(std.Out))
}
