package main

import (
	"path"
	"regexp"
	"strings"

	"parley/cmd/parley/docs"
)

// topicPage returns the page of a topic, from its Markdown.
func (e edition) topicPage(t docs.Topic) string {
	p := &page{}
	p.heading("parley-"+t.Name, 7, e, t.Summary)
	p.macro("SH", "DESCRIPTION")
	lines := strings.Split(strings.TrimRight(t.Text, "\n"), "\n")[1:] // without the heading of the topic
	for len(lines) > 0 {
		n := blockLength(lines)
		p.block(lines[:n])
		lines = lines[n:]
	}
	p.macro("SH", "SEE ALSO")
	p.line(reference("parley", 1))
	return p.String()
}

var (
	heading = regexp.MustCompile(`^(##+) (.*)`)
	entry   = regexp.MustCompile(`^(\*|-|\d+\.) +(.*)`)
)

// blockLength returns of how many lines the block at the beginning of lines consists.
func blockLength(lines []string) int {
	first := lines[0]
	switch {
	case first == "" || heading.MatchString(first):
		return 1
	case strings.HasPrefix(first, "```"):
		for i, l := range lines[1:] {
			if strings.HasPrefix(l, "```") {
				return i + 2
			}
		}
		return len(lines)
	case strings.HasPrefix(first, "    "):
		n := 1
		for i, l := range lines {
			if strings.HasPrefix(l, "    ") {
				n = i + 1
			} else if l != "" {
				break
			}
		}
		return n
	default: // a paragraph, a table, or an entry of a list with the lines that continue it
		for i, l := range lines[1:] {
			if l == "" || strings.HasPrefix(l, "```") || heading.MatchString(l) || entry.MatchString(l) || strings.HasPrefix(l, "|") != strings.HasPrefix(first, "|") {
				return i + 1
			}
		}
		return len(lines)
	}
}

// block writes one block of Markdown.
func (p *page) block(lines []string) {
	first := lines[0]
	switch {
	case first == "":
	case heading.MatchString(first):
		h := heading.FindStringSubmatch(first)
		if h[1] == "##" {
			p.macro("SH", strings.ToUpper(strings.ReplaceAll(h[2], "`", "")))
		} else {
			p.macro("SS", strings.ReplaceAll(h[2], "`", ""))
		}
	case strings.HasPrefix(first, "```"):
		p.example(lines[1 : len(lines)-1])
	case strings.HasPrefix(first, "    "):
		for i := range lines {
			lines[i] = strings.TrimPrefix(lines[i], "    ")
		}
		p.example(lines)
	case strings.HasPrefix(first, "|"):
		p.table(lines)
	case entry.MatchString(first):
		e := entry.FindStringSubmatch(first)
		mark := `\(bu`
		if strings.HasSuffix(e[1], ".") {
			mark = e[1]
		}
		p.WriteString(".IP " + mark + " 4\n")
		p.line(inline(strings.Join(append([]string{e[2]}, trimmed(lines[1:])...), " ")))
	default:
		p.paragraph()
		for _, l := range trimmed(lines) {
			p.line(l)
		}
	}
}

// trimmed returns lines of a paragraph in roff. Markup does not go on in the next line.
func trimmed(lines []string) (all []string) {
	for _, l := range strings.Split(inline(strings.Join(lines, "\n")), "\n") {
		all = append(all, strings.TrimSpace(l))
	}
	return all
}

// table writes a table. One with two columns becomes a list of tags, since tags may be long there;
// others have the columns of their Markdown.
func (p *page) table(lines []string) {
	var rows [][]string
	for i, l := range lines {
		if i == 1 {
			continue // the line below the heading
		}
		cells := strings.Split(strings.ReplaceAll(strings.Trim(l, "|"), `\|`, "\x00"), "|")
		for j := range cells {
			cells[j] = strings.TrimSpace(strings.ReplaceAll(cells[j], "\x00", "|"))
		}
		rows = append(rows, cells)
	}
	if len(rows[0]) == 2 {
		for _, r := range rows[1:] {
			p.item(inline(r[0]), inline(r[1]))
		}
		return
	}
	width := make([]int, len(rows[0]))
	for _, r := range rows {
		for j, c := range r[:min(len(r), len(width))] {
			width[j] = max(width[j], len([]rune(plain(c))))
		}
	}
	var text []string
	for _, r := range rows {
		line := ""
		for j, c := range r[:min(len(r), len(width))] {
			c = plain(c)
			line += c + strings.Repeat(" ", width[j]-len([]rune(c))+2)
		}
		text = append(text, strings.TrimRight(line, " "))
	}
	p.example(text)
}

var (
	markup   = regexp.MustCompile("(?s)`([^`]+)`|\\[([^\\]]+)\\]\\(([^)]+)\\)|\\*\\*([^*]+)\\*\\*|<(https?://[^>]+)>")
	topicURL = regexp.MustCompile(`^[a-z]+\.md(#.*)?$`)
)

// inline returns a text of Markdown in roff: code in bold, and links to topics as references to
// pages.
func inline(text string) string {
	var b strings.Builder
	for text != "" {
		m := markup.FindStringSubmatchIndex(text)
		if m == nil {
			break
		}
		b.WriteString(escape(text[:m[0]]))
		group := func(i int) string {
			if m[2*i] < 0 {
				return ""
			}
			return text[m[2*i]:m[2*i+1]]
		}
		switch {
		case topicURL.MatchString(group(3)):
			name, _, _ := strings.Cut(path.Base(group(3)), ".")
			b.WriteString(reference("parley-"+name, 7))
		case group(2) != "":
			b.WriteString(inline(group(2)))
		default:
			b.WriteString(bold(group(1) + group(4) + group(5)))
		}
		text = text[m[1]:]
	}
	b.WriteString(escape(text))
	return b.String()
}

// plain returns a text of Markdown without its markup.
func plain(text string) string { return markup.ReplaceAllString(text, "$1$2$4$5") }
