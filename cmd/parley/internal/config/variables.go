package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"
)

// SetVariables gives every flag its environment variable: PARLEY_FLAG if several commands have the
// flag, PARLEY_COMMAND_FLAG if one command has it or means something else by it.
func SetVariables(commands []*cli.Command) {
	uses := map[string]int{}
	for _, c := range commands {
		for _, f := range c.Flags {
			uses[f.Names()[0]]++
		}
	}
	for _, c := range commands {
		for _, f := range c.Flags {
			name := f.Names()[0]
			if uses[name] == 1 || isDistinct(c.Name, name) {
				setVariable(f, variableOf(c.Name, name))
			} else {
				setVariable(f, variableOf(name))
			}
		}
	}
}

// isDistinct reports whether a flag means something else in a command than in other commands.
func isDistinct(command, flag string) bool {
	return slices.Contains(map[string][]string{
		"duration": {"probe"}, "for": {"bench", "demo"}, "ice-server": {"serve"}, "listen": {"serve", "pipe"}, "max-calls": {"serve"}, "require": {"probe", "verify"},
	}[flag], command)
}

func variableOf(words ...string) string {
	return "PARLEY_" + strings.ToUpper(strings.ReplaceAll(strings.Join(words, "_"), "-", "_"))
}

func setVariable(flag cli.Flag, name string) {
	sources := cli.EnvVars(name)
	switch f := flag.(type) {
	case *cli.BoolFlag:
		f.Sources = sources
	case *cli.DurationFlag:
		f.Sources = sources
	case *cli.IntFlag:
		f.Sources = sources
	case *cli.StringFlag:
		f.Sources = sources
	case *cli.StringSliceFlag:
		f.Sources = sources
	default:
		panic(fmt.Sprintf("flag --%s has the type %T, which has no environment variable", flag.Names()[0], flag))
	}
}

// HelpColumns is the number of columns of help that is not printed to a terminal.
const HelpColumns = 80

// VariablesHelp returns the section of --help about environment variables.
func VariablesHelp(c *cli.Command) string {
	shared, own := flagVariables{prefix: "PARLEY_"}, flagVariables{prefix: variableOf(c.Name, "")}
	for _, f := range c.Flags {
		set := &shared
		if d, ok := f.(cli.DocGenerationFlag); ok && d.GetEnvVars()[0] == variableOf(c.Name, f.Names()[0]) {
			set = &own
		}
		set.names = append(set.names, f.Names()[0])
	}
	few, many := shared, own
	if len(own.names) < len(shared.names) {
		few, many = own, shared
	}
	if len(many.names) == 0 {
		return ""
	}
	example := many.names[0]
	if slices.Contains(many.names, "server") {
		example = "server"
	}
	help := fmt.Sprintf("%s<FLAG> sets every flag, such as %s for --%s.", many.prefix, many.prefix+variableOf(example)[len("PARLEY_"):], example)
	if len(few.names) > 0 {
		help = fmt.Sprintf("%s<FLAG> sets --%s. %s", few.prefix, strings.Join(few.names, ", --"), strings.Replace(help, "every flag", "the others", 1))
	}
	var b strings.Builder
	b.WriteString("\nENVIRONMENT:\n")
	for _, line := range Wrap(help, HelpColumns-3) {
		b.WriteString("   " + line + "\n")
	}
	return b.String()
}

// flagVariables are flags whose environment variables begin alike.
type flagVariables struct {
	prefix string
	names  []string
}

// Wrap divides a text into lines of at most so many bytes, between words.
func Wrap(text string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
