package cli

import (
	"bytes"
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/stdio"
)

// TestVariables checks that no environment variable sets flags of two meanings. Flags of one name
// whose descriptions differ in two commands are listed here if they mean the same.
func TestVariables(t *testing.T) {
	alike := []string{"into", "linger", "max-calls", "once", "output", "overwrite", "quiet", "retry", "timeout", "verbose", "video-size"}
	type use struct{ command, flag, usage string }
	uses := map[string][]use{}
	for _, c := range commands(stdio.Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}) {
		for _, f := range c.Flags {
			d := f.(cli.DocGenerationFlag)
			if len(d.GetEnvVars()) != 1 {
				t.Fatalf("parley %s --%s: got variables %q, want one", c.Name, f.Names()[0], d.GetEnvVars())
			}
			name := d.GetEnvVars()[0]
			uses[name] = append(uses[name], use{c.Name, f.Names()[0], d.GetUsage()})
		}
	}
	for name, all := range uses {
		for _, u := range all[1:] {
			if u.flag != all[0].flag || u.usage != all[0].usage && !slices.Contains(alike, u.flag) {
				t.Errorf("%s sets parley %s --%s and parley %s --%s, which differ", name, all[0].command, all[0].flag, u.command, u.flag)
			}
		}
		want := "PARLEY_"
		if len(all) == 1 {
			want += strings.ToUpper(all[0].command) + "_"
		}
		if want += strings.ToUpper(strings.ReplaceAll(all[0].flag, "-", "_")); name != want {
			t.Errorf("parley %s --%s: got variable %s, want %s", all[0].command, all[0].flag, name, want)
		}
	}
}

// TestVariablesOfServe checks that serve ignores the variables of other commands, and reads its
// own.
func TestVariablesOfServe(t *testing.T) {
	t.Setenv("PARLEY_LISTEN", "tcp:not an address of serve")
	t.Setenv("PARLEY_MAX_CALLS", "many")
	t.Setenv("PARLEY_ICE_SERVER", "nonsense")
	t.Setenv("PARLEY_SERVE_LISTEN", "127.0.0.1:99999")
	var out bytes.Buffer
	code := Run(t.Context(), stdio.Streams{In: strings.NewReader(""), Out: &out, Err: &out}, []string{"parley", "serve"})
	if code != exit.Usage || !strings.Contains(out.String(), `invalid --listen "127.0.0.1:99999"`) {
		t.Errorf("got code %d, %s", code, out.String())
	}
}

// TestVariablesHelp checks that --help names the variables of a command.
func TestVariablesHelp(t *testing.T) {
	for command, want := range map[string]string{
		"serve": "PARLEY_<FLAG> sets --output, --quiet, --verbose. PARLEY_SERVE_<FLAG> sets the others, such as PARLEY_SERVE_LISTEN for --listen.",
		"pipe":  "PARLEY_PIPE_<FLAG> sets --exec, --listen, --connect, --text, --exit-on-eof. PARLEY_<FLAG> sets the others, such as PARLEY_SERVER for --server.",
		"call":  "ENVIRONMENT: PARLEY_<FLAG> sets every flag, such as PARLEY_SERVER for --server.",
	} {
		var out bytes.Buffer
		if code := Run(t.Context(), stdio.Streams{In: strings.NewReader(""), Out: &out, Err: &out}, []string{"parley", command, "--help"}); code != exit.OK {
			t.Errorf("parley %s --help: exit code %d", command, code)
		}
		if help := strings.Join(strings.Fields(out.String()), " "); !strings.Contains(help, want) {
			_, got, _ := strings.Cut(help, "ENVIRONMENT:")
			t.Errorf("parley %s --help: got %q, want %q", command, got, want)
		}
	}
}

// TestInvalidVariables: every value that a flag refuses is refused in its environment variable with
// the same exit code, and a usage error names the variable.
func TestInvalidVariables(t *testing.T) {
	t.Chdir(t.TempDir()) // valid values name files
	run := func(args ...string) (exit.Code, string) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // valid values go no further
		var out bytes.Buffer
		code := Run(ctx, stdio.Streams{In: strings.NewReader(""), Out: &out, Err: &out}, append([]string{"parley"}, args...))
		return code, out.String()
	}
	operands := map[string][]string{
		"call": {"x"}, "pipe": {"x"}, "chat": {"x"}, "probe": {"x"}, "doctor": {"x"}, "verify": {"x"},
		"send": {"x", "x"}, "snapshot": {"x", "x.png"}, "receive": {"--yes"},
	}
	refused, seen := 0, map[string]bool{}
	for _, c := range commands(stdio.Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}) {
		args := append([]string{c.Name}, operands[c.Name]...)
		_, without := run(args...)
		for _, f := range c.Flags {
			flag, variable := f.Names()[0], f.(cli.DocGenerationFlag).GetEnvVars()[0]
			if seen[variable] {
				continue
			}
			seen[variable] = true
			for _, value := range []string{"no such value", "-2s"} {
				args := slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "--"+flag })
				code, said := run(append(slices.Clone(args), "--"+flag+"="+value)...)
				if code != exit.Usage || said == without {
					continue
				}
				refused++
				t.Setenv(variable, value)
				if got, message := run(args...); got != code || !strings.Contains(message, variable) {
					t.Errorf("%s=%q parley %s: exit code %d, %s\nwant what --%s has: %d, %s", variable, value, c.Name, got, message, flag, code, said)
				}
				if err := os.Unsetenv(variable); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if refused < 200 {
		t.Errorf("%d values were refused, want 200 or more", refused)
	}
}
