package markdown

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

const (
	indent    = 3 // of what is below a heading
	columnGap = 2
	leastCell = 4 // columns of a cell of a table
)

// Terminal returns a text for a terminal with so many columns. Examples are not wrapped.
func Terminal(text string, columns int) string {
	var b strings.Builder
	last := Heading
	for i, block := range Parse(text) {
		if i > 0 && (block.Kind != Entry || last != Entry) {
			b.WriteString("\n")
		}
		last = block.Kind
		switch block.Kind {
		case Heading:
			writeLines(&b, "", "", wrap(block.Lines[0], columns))
		case Example:
			writeLines(&b, strings.Repeat(" ", 2*indent), strings.Repeat(" ", 2*indent), block.Lines)
		case Table:
			writeTable(&b, block.Rows, columns-indent)
		case Entry:
			first := strings.Repeat(" ", indent) + block.Mark + " "
			writeLines(&b, first, strings.Repeat(" ", len(first)), wrap(strings.Join(block.Lines, " "), columns-len(first)))
		case Paragraph:
			writeLines(&b, strings.Repeat(" ", indent), strings.Repeat(" ", indent), wrap(strings.Join(block.Lines, " "), columns-indent))
		}
	}
	return b.String()
}

// wrap returns the lines of a text, without its markup. A word that is too long is divided, any
// other is not, so that a flag stays whole.
func wrap(text string, columns int) (lines []string) {
	columns = max(columns, leastCell)
	line := ""
	for _, word := range strings.Fields(Plain(text)) {
		if line != "" && ansi.StringWidth(line)+1+ansi.StringWidth(word) > columns {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		parts := strings.Split(ansi.Hardwrap(line+word, columns, true), "\n")
		lines, line = append(lines, parts[:len(parts)-1]...), parts[len(parts)-1]
	}
	return append(lines, line)
}

// writeLines writes lines, the first of them after first and the others after others.
func writeLines(b *strings.Builder, first, others string, lines []string) {
	for i, l := range lines {
		if i > 0 {
			first = others
		}
		b.WriteString(strings.TrimRight(first+l, " ") + "\n")
	}
}

// writeTable writes a table. If it is too wide, the cells of its widest columns are wrapped, and
// empty lines divide the rows.
func writeTable(b *strings.Builder, rows [][]string, columns int) {
	limits := columnWidths(rows, columns)
	widths := make([]int, len(limits)) // of the longest lines
	wrapped := false
	var set [][][]string // lines of the cells of the rows
	for _, r := range rows {
		var cells [][]string
		for i, c := range r {
			cells = append(cells, wrap(c, limits[i]))
			for _, l := range cells[i] {
				widths[i] = max(widths[i], ansi.StringWidth(l))
			}
			wrapped = wrapped || len(cells[i]) > 1
		}
		set = append(set, cells)
	}
	for i, cells := range set {
		if i == 1 {
			var rule []string
			for _, w := range widths {
				rule = append(rule, strings.Repeat("-", w))
			}
			b.WriteString(strings.Repeat(" ", indent) + strings.Join(rule, strings.Repeat(" ", columnGap)) + "\n")
		} else if i > 1 && wrapped {
			b.WriteString("\n")
		}
		height := 0
		for _, lines := range cells {
			height = max(height, len(lines))
		}
		for y := range height {
			line := strings.Repeat(" ", indent)
			for x, lines := range cells {
				text := ""
				if y < len(lines) {
					text = lines[y]
				}
				line += text + strings.Repeat(" ", max(0, widths[x]-ansi.StringWidth(text))+columnGap)
			}
			b.WriteString(strings.TrimRight(line, " ") + "\n")
		}
	}
}

// columnWidths returns the widths of the columns of a table: those of their texts, or if these take
// more columns than there are, less for the widest.
func columnWidths(rows [][]string, columns int) []int {
	widths := make([]int, len(rows[0]))
	sum := columnGap * (len(widths) - 1)
	for i := range widths {
		for _, r := range rows {
			widths[i] = max(widths[i], ansi.StringWidth(Plain(r[i])))
		}
		sum += widths[i]
	}
	for ; sum > columns; sum-- {
		widest := 0
		for i, w := range widths {
			if w > widths[widest] {
				widest = i
			}
		}
		if widths[widest] <= leastCell {
			break
		}
		widths[widest]--
	}
	return widths
}
