package cli

import (
	"bytes"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/stdio"
)

// TestHelp checks the help of all commands: standard headings, the exit codes at the end, and lines
// that fit a terminal of 80 columns.
func TestHelp(t *testing.T) {
	program := Root(stdio.Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard})
	if err := program.Run(t.Context(), []string{"parley", "version"}); err != nil { // adds completion
		t.Fatal(err)
	}
	if program.Command("completion") == nil {
		t.Fatal("there is no command completion")
	}
	checkHelp(t, program, []string{"parley"})
}

// checkHelp checks the help of a command and of its subcommands.
func checkHelp(t *testing.T, c *cli.Command, words []string) {
	t.Helper()
	for _, sub := range c.Commands {
		checkHelp(t, sub, append(slices.Clone(words), sub.Name))
	}
	var b bytes.Buffer
	name := strings.Join(append(words, "--help"), " ")
	if code := Run(t.Context(), stdio.Streams{In: strings.NewReader(""), Out: &b, Err: &b}, strings.Fields(name)); code != exit.OK {
		t.Errorf("%s: got code %d", name, code)
	}
	help := b.String()
	for _, f := range c.Flags {
		if typed := "\n   --" + f.Names()[0]; !strings.Contains(help, typed+" ") && !strings.Contains(help, typed+",") && len(words) > 1 && f.Names()[0] != "help" {
			t.Errorf("%s does not describe --%s", name, f.Names()[0])
		}
	}
	if unnamed := regexp.MustCompile(`(?m)^   --[a-z-]+ (string|duration|int)\b`).FindString(help); unnamed != "" {
		t.Errorf("%s does not name the value of %s", name, unnamed)
	}
	if !strings.HasSuffix(help, exitStatusHelp()) {
		t.Errorf("%s does not end with EXIT STATUS", name)
	}
	for _, heading := range regexp.MustCompile(`(?m)^[^ \n].*$`).FindAllString(help, -1) {
		if !slices.Contains(headings(), heading) {
			t.Errorf("%s has the heading %q", name, heading)
		}
	}
	for line := range strings.Lines(help) {
		line = strings.TrimSuffix(line, "\n")
		if utf8.RuneCountInString(line) > config.HelpColumns || strings.Contains(line, "{{") || strings.HasSuffix(line, " ") {
			t.Errorf("%s has the line %q", name, line)
		}
	}
}

// headings returns the headings that help may have.
func headings() []string {
	return []string{"NAME:", "USAGE:", "DESCRIPTION:", "COMMANDS:", "GLOBAL OPTIONS:", "TOPICS (parley help TOPIC):", "OPTIONS:", "CALL:", "MEDIA OUT:",
		"MEDIA IN:", "DATA CHANNELS:", "NETWORK:", "SIGNALING:", "SECURITY:", "OUTPUT:", "LOAD:", "WHIP AND WHEP:", "TLS:", "LOGIN:", "STUN AND TURN:", "LIMITS:",
		"OPERATION:", "ENVIRONMENT:", "EXIT STATUS:"}
}

// TestReplacedFlags checks that flags are unknown by the names that they had before.
func TestReplacedFlags(t *testing.T) {
	for _, line := range []string{"probe echo --level echo", "probe echo --await 1s", "probe echo --load 1 --hold 1s", "call bob --verify ask", "answer --cooperate"} {
		var out bytes.Buffer
		code := Run(t.Context(), stdio.Streams{In: strings.NewReader(""), Out: &out, Err: &out}, append([]string{"parley"}, strings.Fields(line)...))
		if code != exit.Usage || !strings.Contains(out.String(), "flag provided but not defined") {
			t.Errorf("parley %s: got code %d, %s", line, code, out.String())
		}
	}
}
