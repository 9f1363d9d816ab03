package main

import (
	"fmt"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v3"

	"parley/cmd/parley/docs"
	"parley/cmd/parley/internal/exit"
)

// edition is what the footers of all pages show.
type edition struct{ version, date string }

// programPage returns the page parley(1).
func (e edition) programPage(root *urfave.Command) string {
	p := &page{}
	p.heading("parley", 1, e, root.Usage)
	p.macro("SH", "SYNOPSIS")
	p.line(bold("parley") + " " + italic("COMMAND") + ` [\fIOPTION\fR]...`)
	p.macro("SH", "DESCRIPTION")
	p.description(root.Description)
	p.macro("SH", "COMMANDS")
	for _, c := range root.Commands {
		p.item(reference("parley-"+c.Name, 1), escape(c.Usage))
	}
	p.macro("SH", "TOPICS")
	for _, t := range docs.Topics() {
		p.item(reference("parley-"+t.Name, 7), escape(t.Summary))
	}
	p.exitStatus()
	return p.String()
}

// commandPage returns the page of a command.
func (e edition) commandPage(c *urfave.Command) string {
	p := &page{}
	p.heading("parley-"+c.Name, 1, e, c.Usage)
	p.macro("SH", "SYNOPSIS")
	p.line(strings.TrimSpace(bold("parley "+c.Name) + ` [\fIOPTION\fR]... ` + escape(c.ArgsUsage)))
	if c.Description != "" {
		p.macro("SH", "DESCRIPTION")
		p.description(c.Description)
	}
	p.options(c)
	p.exitStatus()
	p.macro("SH", "SEE ALSO")
	also := []string{reference("parley", 1)}
	for _, t := range docs.Topics() {
		if t.Name == c.Name || strings.Contains(t.Text, "parley "+c.Name+" ") {
			also = append(also, reference("parley-"+t.Name, 7))
		}
	}
	p.line(strings.Join(also, ",\n"))
	return p.String()
}

func reference(name string, section int) string { return fmt.Sprintf("%s(%d)", bold(name), section) }

// description writes the description of a command, in which indented lines are examples.
func (p *page) description(text string) {
	var example []string
	begins := false
	end := func() {
		if len(example) > 0 {
			p.example(example)
		}
		example = nil
	}
	for _, l := range strings.Split(text, "\n") {
		switch {
		case l == "":
			end()
			begins = true
		case l[0] == ' ':
			example = append(example, strings.TrimPrefix(l, "   "))
		default:
			if begins || len(example) > 0 {
				end()
				p.paragraph()
			}
			begins = false
			p.line(escape(l))
		}
	}
	end()
}

// options writes the flags of a command by their category, those without one first.
func (p *page) options(c *urfave.Command) {
	categories := []string{""}
	flags := map[string][]urfave.Flag{}
	for _, f := range c.Flags {
		category := ""
		if f, ok := f.(urfave.CategorizableFlag); ok {
			category = f.GetCategory()
		}
		if !slices.Contains(categories, category) {
			categories = append(categories, category)
		}
		flags[category] = append(flags[category], f)
	}
	if len(c.Flags) > 0 {
		p.macro("SH", "OPTIONS")
	}
	for _, category := range categories {
		if category != "" {
			p.macro("SS", category)
		}
		for _, f := range flags[category] {
			p.option(f)
		}
	}
}

// option writes a flag: what one types, what it does, and the variable that stands for it.
func (p *page) option(f urfave.Flag) {
	typed, usage, _ := strings.Cut(urfave.FlagStringer(f), "\t")
	typed, _, _ = strings.Cut(typed, " [ ") // the library repeats what may be repeated
	usage, _, _ = strings.Cut(usage, " [$")
	var tag []string
	for _, word := range strings.Fields(typed) {
		name, comma := strings.CutSuffix(word, ",")
		if strings.HasPrefix(word, "-") {
			word = bold(name)
		} else {
			word = italic(name)
		}
		if comma {
			word += ","
		}
		tag = append(tag, word)
	}
	text := escape(strings.TrimSpace(usage))
	if v, ok := f.(urfave.DocGenerationFlag); ok && len(v.GetEnvVars()) > 0 {
		text += "\n.br\nVariable: " + bold(v.GetEnvVars()[0])
	}
	p.item(strings.Join(tag, " "), text)
}

// exitStatus writes the exit codes.
func (p *page) exitStatus() {
	p.macro("SH", "EXIT STATUS")
	for _, code := range exit.Codes() {
		p.item(bold(fmt.Sprint(int(code))), escape(code.String()))
	}
}
