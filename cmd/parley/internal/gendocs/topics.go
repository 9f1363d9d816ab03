package main

import (
	"path"
	"regexp"
	"strings"

	"parley/cmd/parley/docs"
	"parley/cmd/parley/internal/markdown"
)

// topicPage returns the page of a topic, from its Markdown.
func (e edition) topicPage(t docs.Topic) string {
	p := &page{}
	p.heading("parley-"+t.Name, 7, e, t.Summary)
	p.macro("SH", "DESCRIPTION")
	for _, b := range markdown.Parse(t.Text)[1:] { // without the title
		p.block(b)
	}
	p.macro("SH", "SEE ALSO")
	p.line(reference("parley", 1))
	return p.String()
}

// block writes one block of Markdown.
func (p *page) block(b markdown.Block) {
	switch b.Kind {
	case markdown.Heading:
		text := strings.ReplaceAll(b.Lines[0], "`", "")
		if b.Level == 2 {
			p.macro("SH", strings.ToUpper(text))
		} else {
			p.macro("SS", text)
		}
	case markdown.Example:
		p.example(b.Lines)
	case markdown.Table:
		p.table(b.Rows)
	case markdown.Entry:
		mark := `\(bu`
		if strings.HasSuffix(b.Mark, ".") {
			mark = b.Mark
		}
		p.WriteString(".IP " + mark + " 4\n")
		p.line(inline(strings.Join(b.Lines, " ")))
	case markdown.Paragraph:
		p.paragraph()
		for _, l := range strings.Split(inline(strings.Join(b.Lines, "\n")), "\n") { // markup may go on in the next line
			p.line(l)
		}
	}
}

// table writes a table. One with two columns becomes a list of tags, since tags may be long there;
// others have the columns of their Markdown.
func (p *page) table(rows [][]string) {
	if len(rows[0]) == 2 {
		for _, r := range rows[1:] {
			p.item(inline(r[0]), inline(r[1]))
		}
		return
	}
	width := make([]int, len(rows[0]))
	for _, r := range rows {
		for j, c := range r {
			width[j] = max(width[j], len([]rune(markdown.Plain(c))))
		}
	}
	var text []string
	for _, r := range rows {
		line := ""
		for j, c := range r {
			c = markdown.Plain(c)
			line += c + strings.Repeat(" ", width[j]-len([]rune(c))+2)
		}
		text = append(text, strings.TrimRight(line, " "))
	}
	p.example(text)
}

var topicURL = regexp.MustCompile(`^[a-z]+\.md(#.*)?$`)

// inline returns a text of Markdown in roff: code in bold, and links to topics as references to
// pages.
func inline(text string) string {
	var b strings.Builder
	for _, s := range markdown.Inline(text) {
		switch {
		case topicURL.MatchString(s.Link):
			name, _, _ := strings.Cut(path.Base(s.Link), ".")
			b.WriteString(reference("parley-"+name, 7))
		case s.Link != "":
			b.WriteString(inline(s.Text))
		case s.Bold:
			b.WriteString(bold(s.Text))
		default:
			b.WriteString(escape(s.Text))
		}
	}
	return b.String()
}
