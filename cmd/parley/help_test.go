package main

import (
	"bytes"
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
