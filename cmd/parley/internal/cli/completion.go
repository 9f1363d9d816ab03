package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/stdio"
)

// completions are the scripts by shell, in place of those of the library. That of bash evaluates
// the line that is completed, with the commands in it; those of other shells run its first word,
// show errors in the line, or complete no files. All take the value of a flag for the beginning of
// another flag.
//
// parley WORD... --generate-shell-completion prints what the last word may become, NAME or
// NAME:DESCRIPTION, one on a line. Where that is nothing, shells complete files.
var completions = map[string]string{
	"bash": `_parley() {
    local cur=${COMP_WORDS[COMP_CWORD]} line names=''
    while IFS= read -r line; do names+="${line%%:*} "; done < <(parley "${COMP_WORDS[@]:1:COMP_CWORD}" --generate-shell-completion 2>/dev/null)
    COMPREPLY=($(compgen -W "$names" -- "$cur"))
}
complete -o bashdefault -o default -F _parley parley
`,
	"zsh": `#compdef parley
compdef _parley parley

_parley() {
    local -a names
    names=("${(@f)$(parley "${(@Q)words[2,CURRENT]}" --generate-shell-completion 2>/dev/null)}")
    if [[ -n ${names[1]} ]]; then
        _describe parley names
    else
        _files
    fi
}

# The file is run as the function when it is in a folder of $fpath, and not when it is sourced.
if [[ ${funcstack[1]} == _parley ]]; then
    _parley
fi
`,
	"fish": `function __parley_complete
    set -l words (commandline -opc) (commandline -ct)
    command parley $words[2..-1] --generate-shell-completion 2>/dev/null | string replace ':' \t
end
complete -c parley -e
complete -c parley -n 'test (count (commandline -opc)) -eq 1' -f
complete -c parley -a '(__parley_complete)'
`,
	"pwsh": `Register-ArgumentCompleter -Native -CommandName parley -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = @($commandAst.CommandElements | Select-Object -Skip 1 |
        Where-Object { $_.Extent.EndOffset -lt $cursorPosition } | ForEach-Object { $_.ToString() })
    if ($wordToComplete) { $words += $wordToComplete } else { $words += '.' } # an empty one may be dropped
    & parley @words --generate-shell-completion 2>$null | ForEach-Object {
        $name, $text = $_ -split ':', 2
        if (-not $text) { $text = $name }
        if ($name.StartsWith($wordToComplete)) {
            [System.Management.Automation.CompletionResult]::new($name, $name, 'ParameterValue', $text)
        }
    }
}
`,
}

// setCompletion makes the library's command of completion one with the shell as its operand, so
// that it has the same --help as other commands.
func setCompletion(std stdio.Streams, c *cli.Command) {
	shells := slices.Sorted(maps.Keys(completions))
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
		script, ok := completions[shell]
		if !ok {
			return exit.Usagef("invalid shell %q: want %s", sanitize.Text(shell), strings.Join(shells, ", "))
		}
		_, err := io.WriteString(std.Out, script)
		return err
	}
	c.ShellComplete = func(context.Context, *cli.Command) { fmt.Fprintln(std.Out, strings.Join(shells, "\n")) }
	withHelp(c, columnsOf(std.Out))
}

// complete prints what the last word of a command line may become. The library's descriptions have
// the backquotes that mark the value of a flag.
func complete(ctx context.Context, cmd *cli.Command) {
	root := cmd.Root()
	out := root.Writer
	var text bytes.Buffer
	root.Writer = &text
	cli.DefaultCompleteWithFlags(ctx, cmd)
	root.Writer = out
	fmt.Fprint(out, strings.ReplaceAll(text.String(), "`", ""))
}
