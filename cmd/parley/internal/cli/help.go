package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"
	"golang.org/x/term"

	"parley/cmd/parley/docs"
	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/markdown"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/stdio"
)

const (
	helpColumn        = 28 // where the text about a flag begins
	descriptionIndent = 3
	mostColumns       = 110
)

// helpCommand prints a topic or the help of a command, or lists commands and topics.
func helpCommand(std stdio.Streams) *cli.Command {
	return &cli.Command{
		Name: "help", Aliases: []string{"h"}, Usage: "print a topic, or list commands and topics", ArgsUsage: "[TOPIC|COMMAND]",
		Description: `Prints a topic, or the help of a command that has no topic of its name. The flags
of every command are printed by "parley COMMAND --help". A topic is printed in the
columns of the terminal, or as Markdown if the output is no terminal.

   parley help
   parley help sources
   parley help call`,
		ShellComplete: func(_ context.Context, cmd *cli.Command) {
			for _, t := range docs.Topics() {
				fmt.Fprintf(std.Out, "%s:%s\n", t.Name, t.Summary)
			}
			for _, c := range cmd.Root().VisibleCommands() {
				if _, ok := docs.Text(c.Name); !ok {
					fmt.Fprintf(std.Out, "%s:%s\n", c.Name, c.Usage)
				}
			}
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			name := cmd.Args().First()
			if name == "" {
				return cli.ShowRootCommandHelp(cmd.Root())
			}
			if text, ok := docs.Text(name); ok {
				if columns, ok := terminalColumns(std.Out); ok {
					text = markdown.Terminal(text, columns)
				}
				_, err := io.WriteString(std.Out, text)
				return err
			}
			if cmd.Root().Command(name) != nil {
				return cli.ShowCommandHelp(ctx, cmd.Root(), name)
			}
			return exit.Usagef("unknown command or topic %q: the topics are %s; see parley --help for the commands", sanitize.Text(name), docs.Names())
		},
	}
}

// withHelp gives a command its --help: flags by heading, in the order in which
// the command names them, in as many columns as there are.
func withHelp(c *cli.Command, columns int) {
	var headings []string
	flags := map[string][]cli.Flag{}
	for _, f := range c.Flags {
		heading := "OPTIONS"
		if f, ok := f.(cli.CategorizableFlag); ok && f.GetCategory() != "" {
			heading = f.GetCategory()
		}
		if _, ok := flags[heading]; !ok {
			headings = append(headings, heading)
		}
		flags[heading] = append(flags[heading], f)
	}
	slices.SortStableFunc(headings, func(a, b string) int { // what the command has for itself comes first
		return map[bool]int{true: 0, false: 1}[a == "OPTIONS"] - map[bool]int{true: 0, false: 1}[b == "OPTIONS"]
	})
	var b strings.Builder
	for _, heading := range headings {
		b.WriteString("\n" + heading + ":\n")
		for _, f := range flags[heading] {
			describe(&b, f, columns)
		}
	}
	b.WriteString(config.VariablesHelp(c))
	b.WriteString(exitStatusHelp())
	const plain = `NAME:
   {{template "helpNameTemplate" .}}

USAGE:
   {{template "usageTemplate" .}}{{if .Description}}

DESCRIPTION:
   {{template "descriptionTemplate" .}}{{end}}
`
	c.CustomHelpTemplate = plain + strings.ReplaceAll(b.String(), "{{", `{{"{{"}}`)
	c.Description = wrapDescription(c.Description, columns-descriptionIndent)
	c.HideHelpCommand = true // "help" is an operand
}

// wrapDescription wraps the paragraphs of a description. It keeps indented lines, which are
// examples.
func wrapDescription(text string, width int) string {
	var lines []string
	paragraph := ""
	end := func() {
		if paragraph != "" {
			lines = append(lines, config.Wrap(paragraph, width)...)
		}
		paragraph = ""
	}
	for _, line := range strings.Split(text, "\n") {
		if line != "" && line[0] != ' ' {
			paragraph += line + " "
			continue
		}
		end()
		lines = append(lines, line)
	}
	end()
	return strings.Join(lines, "\n")
}

// exitStatusHelp returns the section of --help about exit codes.
func exitStatusHelp() string {
	var b strings.Builder
	b.WriteString("\nEXIT STATUS:\n")
	for _, code := range exit.Codes() {
		fmt.Fprintf(&b, "   %-4d %s\n", code, code)
	}
	return b.String()
}

// describe writes one flag: what one types, and beside or below it what it does.
func describe(b *strings.Builder, f cli.Flag, columns int) {
	typed, usage, _ := strings.Cut(cli.FlagStringer(f), "\t")
	typed, _, _ = strings.Cut(typed, " [ ") // the library repeats what may be repeated
	usage, _, _ = strings.Cut(usage, " [$") // every flag has its variable, as parley --help says
	typed = "   " + typed
	b.WriteString(typed)
	if len(typed) > helpColumn-2 {
		b.WriteString("\n")
		typed = ""
	}
	indent := helpColumn - len(typed)
	for _, line := range config.Wrap(usage, columns-helpColumn) {
		b.WriteString(strings.Repeat(" ", indent) + line + "\n")
		indent = helpColumn
	}
}

// columnsOf are the columns of a terminal, within reason, or those of help for none.
func columnsOf(out io.Writer) int {
	if columns, ok := terminalColumns(out); ok {
		return columns
	}
	return config.HelpColumns
}

// terminalColumns are the columns of a terminal, within reason, and false for none.
func terminalColumns(out io.Writer) (columns int, ok bool) {
	if f, ok := out.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil {
			return min(max(w, config.HelpColumns/4*3), mostColumns), true
		}
	}
	return 0, false
}
