package main

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/stdio"
)

// Whoever asks for help in a terminal of 80 columns reads whole lines, and finds each flag.
func TestHelpFits(t *testing.T) {
	for _, c := range root(stdio.Streams{}).Commands {
		var out bytes.Buffer
		if code := run(t.Context(), stdio.Streams{In: strings.NewReader(""), Out: &out, Err: &out}, []string{"parley", c.Name, "--help"}); code != exit.OK {
			t.Errorf("parley %s --help ends with %d", c.Name, code)
		}
		for _, f := range c.Flags {
			if typed := "\n   --" + f.Names()[0]; !strings.Contains(out.String(), typed+" ") && !strings.Contains(out.String(), typed+",") {
				t.Errorf("parley %s --help has nothing about --%s", c.Name, f.Names()[0])
			}
		}
		if !strings.HasSuffix(out.String(), exitStatusHelp()) {
			t.Errorf("parley %s --help does not end with EXIT STATUS", c.Name)
		}
		for _, heading := range regexp.MustCompile(`(?m)^[^ \n].*:$`).FindAllString(out.String(), -1) {
			if !slices.Contains(headings(), strings.TrimSuffix(heading, ":")) {
				t.Errorf("parley %s --help has the heading %s", c.Name, heading)
			}
		}
		_, flags, _ := strings.Cut(out.String(), ":\n   --")
		if flags == "" && len(c.Flags) > 0 {
			t.Errorf("parley %s --help has no flags:\n%s", c.Name, out.String())
		}
		for line := range strings.Lines(flags) {
			if len([]rune(strings.TrimSpace(line))) > usualColumns || strings.Contains(line, "{{") {
				t.Errorf("parley %s --help: %s", c.Name, line)
			}
		}
	}
}

// headings returns the headings that the help of commands may have.
func headings() []string {
	return []string{"NAME", "USAGE", "DESCRIPTION", "OPTIONS", "CALL", "MEDIA OUT", "MEDIA IN", "DATA CHANNELS", "NETWORK", "SIGNALING", "SECURITY",
		"OUTPUT", "LOAD", "TLS", "LOGIN", "STUN AND TURN", "LIMITS", "OPERATION", "ENVIRONMENT", "EXIT STATUS"}
}

// TestReplacedFlags checks that flags are unknown by the names that they had before.
func TestReplacedFlags(t *testing.T) {
	for _, line := range []string{"probe echo --level echo", "probe echo --await 1s", "probe echo --load 1 --hold 1s", "call bob --expect-code ask", "answer --allow-probe"} {
		var out bytes.Buffer
		code := run(t.Context(), stdio.Streams{In: strings.NewReader(""), Out: &out, Err: &out}, append([]string{"parley"}, strings.Fields(line)...))
		if code != exit.Usage || !strings.Contains(out.String(), "flag provided but not defined") {
			t.Errorf("parley %s: got code %d, %s", line, code, out.String())
		}
	}
}
