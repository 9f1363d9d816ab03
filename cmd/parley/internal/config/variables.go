package config

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
)

// SetVariables gives every flag its environment variable: PARLEY_FLAG if several commands have the
// flag, PARLEY_COMMAND_FLAG if one command has it or means something else by it. An invalid value
// of a variable is a usage error that names the variable.
func SetVariables(commands []*cli.Command) {
	uses := map[string]int{}
	for _, c := range commands {
		for _, f := range c.Flags {
			uses[f.Names()[0]]++
		}
	}
	for _, c := range commands {
		read := &readVariables{}
		for _, f := range c.Flags {
			name := f.Names()[0]
			if uses[name] == 1 || isDistinct(c.Name, name) {
				setVariable(f, variableOf(c.Name, name), read)
			} else {
				setVariable(f, variableOf(name), read)
			}
		}
		nameVariables(c, read)
	}
}

// readVariables are the environment variables that were read for the flags of one command line.
type readVariables struct {
	flags []readVariable
	err   error // of the first invalid value
}

type readVariable struct{ flag, variable, value string }

// names reports whether a message names the flag.
func (v readVariable) names(message string) bool {
	return regexp.MustCompile(`--` + v.flag + `([^-\w]|$)`).MatchString(message)
}

// variableSource reads the environment variable of a flag.
type variableSource struct {
	variable string
	flag     string
	check    func(value string) error // sets a copy of the flag
	read     *readVariables
}

func (s *variableSource) String() string   { return s.variable }
func (s *variableSource) GoString() string { return s.variable }
func (s *variableSource) IsFromEnv() bool  { return true }
func (s *variableSource) Key() string      { return s.variable }

// Lookup returns the value of the variable. It notes an invalid value and returns none then,
// because the library has no hook for errors of sources.
func (s *variableSource) Lookup() (string, bool) {
	value, ok := cli.EnvVar(s.variable).Lookup()
	if !ok {
		return "", false
	}
	if value != "" {
		if err := s.check(value); err != nil {
			if s.read.err == nil {
				s.read.err = exit.Usagef("invalid value %q of %s: %v", sanitize.Text(value), s.variable, err)
			}
			return "", false
		}
	}
	s.read.flags = append(s.read.flags, readVariable{s.flag, s.variable, value})
	return value, true
}

// nameVariables has the usage errors of a command name the variables that the flags they are about
// were read from.
func nameVariables(c *cli.Command, read *readVariables) {
	action := c.Action
	c.Action = func(ctx context.Context, cmd *cli.Command) error {
		if read.err != nil {
			return UsageError(ctx, cmd, read.err, true)
		}
		err := action(ctx, cmd)
		if exit.CodeOf(err) != exit.Usage {
			return err
		}
		message := err.Error()
		for _, v := range read.flags {
			if v.names(message) || v.value != "" && strings.Contains(message, sanitize.Text(v.value)) {
				err = exit.Usagef("%w (--%s is read from %s)", err, v.flag, v.variable)
			}
		}
		return err
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

func setVariable(flag cli.Flag, name string, read *readVariables) {
	sources := func(check func(string) error) cli.ValueSourceChain {
		return cli.NewValueSourceChain(&variableSource{name, flag.Names()[0], check, read})
	}
	switch f := flag.(type) {
	case *cli.BoolFlag:
		f.Sources = sources(func(v string) error { c := cli.BoolFlag{}; return c.Set("", v) })
	case *cli.DurationFlag:
		f.Sources = sources(func(v string) error { c := cli.DurationFlag{Validator: f.Validator}; return c.Set("", v) })
	case *cli.IntFlag:
		f.Sources = sources(func(v string) error { c := cli.IntFlag{Validator: f.Validator}; return c.Set("", v) })
	case *cli.StringFlag:
		f.Sources = sources(func(v string) error { c := cli.StringFlag{Validator: f.Validator}; return c.Set("", v) })
	case *cli.StringSliceFlag:
		f.Sources = sources(func(v string) error { c := cli.StringSliceFlag{Validator: f.Validator}; return c.Set("", v) })
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
