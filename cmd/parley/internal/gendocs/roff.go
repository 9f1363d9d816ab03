package main

import (
	"fmt"
	"strings"
)

// page is a man page in roff with the macros of man(7).
type page struct {
	strings.Builder
	headed bool // the last line was a heading, which begins a paragraph
}

// heading begins a page. Its date and version are in the footer.
func (p *page) heading(name string, section int, e edition, summary string) {
	fmt.Fprintf(p, ".TH %s %d %q %q \"Parley manual\"\n", strings.ToUpper(name), section, e.date, strings.TrimSpace("Parley "+e.version))
	p.macro("SH", "NAME")
	p.line(escape(name) + ` \- ` + escape(summary))
}

// macro writes a line with a macro and its arguments, which are plain text.
func (p *page) macro(name string, arguments ...string) {
	p.headed = name == "SH" || name == "SS"
	p.WriteString("." + name)
	for _, a := range arguments {
		p.WriteString(` "` + strings.ReplaceAll(escape(a), `"`, `\(dq`) + `"`)
	}
	p.WriteString("\n")
}

// line writes a line of text that is roff already.
func (p *page) line(text string) {
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		p.WriteString(`\&`)
	}
	p.headed = false
	p.WriteString(text + "\n")
}

// paragraph begins a paragraph.
func (p *page) paragraph() {
	if !p.headed {
		p.macro("PP")
	}
}

// item writes a paragraph with a tag before it, both in roff.
func (p *page) item(tag, text string) {
	p.macro("TP")
	p.line(tag)
	p.line(text)
}

// example writes lines as they are, in a fixed font.
func (p *page) example(lines []string) {
	p.paragraph()
	p.macro("RS", "4")
	p.macro("EX")
	for _, l := range lines {
		p.line(escape(l))
	}
	p.macro("EE")
	p.macro("RE")
}

// escape makes text safe in roff. A hyphen is one that can be copied and searched, because nearly
// all of them are parts of flags.
func escape(text string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`, "'", `\(aq`).Replace(text)
}

func bold(text string) string   { return `\fB` + escape(text) + `\fR` }
func italic(text string) string { return `\fI` + escape(text) + `\fR` }
