// Package markdown reads the Markdown of the topics, for man pages or terminals.
package markdown

import (
	"regexp"
	"strings"
)

// Kind is the kind of a Block.
type Kind int

// The kinds of blocks.
const (
	Heading   Kind = iota
	Paragraph      // a line of text for each line of the source
	Entry          // of a list
	Example        // lines to be shown as they are
	Table
)

// Block is a part of a text. Its lines and cells have the markup that Inline reads.
type Block struct {
	Kind  Kind
	Level int        // of a heading: 1 for the title
	Mark  string     // of an entry: "*", or its number with a full stop
	Lines []string   // of all but a table; a heading has one
	Rows  [][]string // of a table: the first has the titles of the columns
}

var (
	heading = regexp.MustCompile(`^(#+) (.*)`)
	entry   = regexp.MustCompile(`^(\*|-|\d+\.) +(.*)`)
)

// Parse returns the blocks of a text.
func Parse(text string) (blocks []Block) {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for len(lines) > 0 {
		n := blockLength(lines)
		if first := lines[0]; first != "" && !strings.HasPrefix(first, "<!--") {
			blocks = append(blocks, newBlock(lines[:n]))
		}
		lines = lines[n:]
	}
	return blocks
}

// blockLength returns of how many lines the block at the beginning of lines consists.
func blockLength(lines []string) int {
	first := lines[0]
	switch {
	case first == "" || heading.MatchString(first) || strings.HasPrefix(first, "<!--"):
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
			if l == "" || strings.HasPrefix(l, "```") || strings.HasPrefix(l, "<!--") || heading.MatchString(l) || entry.MatchString(l) ||
				strings.HasPrefix(l, "|") != strings.HasPrefix(first, "|") {
				return i + 1
			}
		}
		return len(lines)
	}
}

// newBlock returns the block that consists of lines.
func newBlock(lines []string) Block {
	first := lines[0]
	switch {
	case heading.MatchString(first):
		h := heading.FindStringSubmatch(first)
		return Block{Kind: Heading, Level: len(h[1]), Lines: h[2:]}
	case strings.HasPrefix(first, "```"):
		return Block{Kind: Example, Lines: lines[1:max(1, len(lines)-1)]}
	case strings.HasPrefix(first, "    "):
		b := Block{Kind: Example}
		for _, l := range lines {
			b.Lines = append(b.Lines, strings.TrimPrefix(l, "    "))
		}
		return b
	case strings.HasPrefix(first, "|"):
		return Block{Kind: Table, Rows: rows(lines)}
	}
	b := Block{Kind: Paragraph}
	if e := entry.FindStringSubmatch(first); e != nil {
		b.Kind, b.Mark, first = Entry, e[1], e[2]
	}
	b.Lines = []string{strings.TrimSpace(first)}
	for _, l := range lines[1:] {
		b.Lines = append(b.Lines, strings.TrimSpace(l))
	}
	return b
}

// rows returns the cells of a table, as many in each row as in the first.
func rows(lines []string) (rows [][]string) {
	for i, l := range lines {
		if i == 1 {
			continue // the line below the titles
		}
		cells := strings.Split(strings.ReplaceAll(strings.Trim(l, "|"), `\|`, "\x00"), "|")
		for j := range cells {
			cells[j] = strings.TrimSpace(strings.ReplaceAll(cells[j], "\x00", "|"))
		}
		if len(rows) > 0 {
			for len(cells) < len(rows[0]) {
				cells = append(cells, "")
			}
			cells = cells[:len(rows[0])]
		}
		rows = append(rows, cells)
	}
	return rows
}

// A Span is a part of a text with one markup.
type Span struct {
	Text string
	Bold bool   // code, bold text, or an address
	Link string // where a link goes, or an image is; its text may have markup
}

var markup = regexp.MustCompile("(?s)`([^`]+)`|!?\\[([^\\]]+)\\]\\(([^)]+)\\)|\\*\\*([^*]+)\\*\\*|<(https?://[^>]+)>")

// Inline returns the spans of a text.
func Inline(text string) (spans []Span) {
	for text != "" {
		m := markup.FindStringSubmatchIndex(text)
		if m == nil {
			break
		}
		if m[0] > 0 {
			spans = append(spans, Span{Text: text[:m[0]]})
		}
		group := func(i int) string {
			if m[2*i] < 0 {
				return ""
			}
			return text[m[2*i]:m[2*i+1]]
		}
		if link := group(3); link != "" {
			spans = append(spans, Span{Text: group(2), Link: link})
		} else {
			spans = append(spans, Span{Text: group(1) + group(4) + group(5), Bold: true})
		}
		text = text[m[1]:]
	}
	if text != "" {
		spans = append(spans, Span{Text: text})
	}
	return spans
}

var (
	note   = regexp.MustCompile(`<sup>\d+</sup>`)
	raised = strings.NewReplacer("<sup>", "", "</sup>", "", "0", "⁰", "1", "¹", "2", "²", "3", "³", "4", "⁴", "5", "⁵", "6", "⁶", "7", "⁷", "8", "⁸", "9", "⁹")
)

// Plain returns a text without its markup.
func Plain(text string) string {
	text = note.ReplaceAllStringFunc(text, raised.Replace)
	var b strings.Builder
	for _, s := range Inline(text) {
		if s.Link != "" {
			s.Text = Plain(s.Text)
		}
		b.WriteString(s.Text)
	}
	return b.String()
}
