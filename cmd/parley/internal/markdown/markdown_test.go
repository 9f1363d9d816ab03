package markdown

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"parley/cmd/parley/docs"
)

const text = `# Topic: a test

A paragraph with ` + "`code`" + `, a [link
to a topic](topic.md) and
**bold** text.
<!-- a comment -->

## Section

![Figure: an image](images/a.svg)

* the first entry of a list,
  which goes on
2. another

    example --flag   VALUE

        indented
` + "```console" + `
$ parley
` + "```" + `
| a | ` + "`b\\|c`" + ` | d |
|---|---|---|
| 1<sup>12</sup> | two words and --long-flag | |
| 3 |
`

func TestParse(t *testing.T) {
	want := []Block{
		{Kind: Heading, Level: 1, Lines: []string{"Topic: a test"}},
		{Kind: Paragraph, Lines: []string{"A paragraph with `code`, a [link", "to a topic](topic.md) and", "**bold** text."}},
		{Kind: Heading, Level: 2, Lines: []string{"Section"}},
		{Kind: Paragraph, Lines: []string{"![Figure: an image](images/a.svg)"}},
		{Kind: Entry, Mark: "*", Lines: []string{"the first entry of a list,", "which goes on"}},
		{Kind: Entry, Mark: "2.", Lines: []string{"another"}},
		{Kind: Example, Lines: []string{"example --flag   VALUE", "", "    indented"}},
		{Kind: Example, Lines: []string{"$ parley"}},
		{Kind: Table, Rows: [][]string{{"a", "`b|c`", "d"}, {"1<sup>12</sup>", "two words and --long-flag", ""}, {"3", "", ""}}},
	}
	got := Parse(text)
	if len(got) != len(want) {
		t.Fatalf("%d blocks, want %d: %+v", len(got), len(want), got)
	}
	for i, b := range got {
		equal := slices.EqualFunc(b.Rows, want[i].Rows, slices.Equal[[]string])
		if b.Kind != want[i].Kind || b.Level != want[i].Level || b.Mark != want[i].Mark || !slices.Equal(b.Lines, want[i].Lines) || !equal {
			t.Errorf("block %d: %+v, want %+v", i, b, want[i])
		}
	}
	for _, unfinished := range []string{"", "```", "|", "    x\n\n", "* ", "[a](", "<!--"} {
		Terminal(unfinished, 80)
	}
}

func TestTerminal(t *testing.T) {
	const want = `Topic: a test

   A paragraph with code, a
   link to a topic and bold
   text.

Section

   Figure: an image

   * the first entry of a list,
     which goes on
   2. another

      example --flag   VALUE

          indented

      $ parley

   a    b|c            d
   ---  -------------  -
   1¹²  two words and
        --long-flag

   3
`
	if got := Terminal(text, 31); got != want {
		t.Errorf("got:\n%s", got)
	}
	if got := Terminal("abcdefgh ijkl", 8); got != "   abcde\n   fgh\n   ijkl\n" {
		t.Errorf("a long word: %q", got)
	}
}

// All topics fit a terminal of 80 columns, but for their examples and words that are longer.
func TestTopicsFit(t *testing.T) {
	for _, topic := range docs.Topics() {
		for line := range strings.Lines(Terminal(topic.Text, 80)) {
			line = strings.TrimRight(line, "\n")
			if n := utf8.RuneCountInString(line); n > 80 && !strings.HasPrefix(line, "      ") {
				t.Errorf("%s: %d columns: %s", topic.Name, n, line)
			}
		}
	}
}
