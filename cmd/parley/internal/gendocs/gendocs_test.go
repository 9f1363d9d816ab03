//go:build !quick

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"parley/cmd/parley/docs"
	"parley/cmd/parley/internal/cli"
	"parley/cmd/parley/internal/stdio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// generated returns a folder with all files.
func generated(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := generate(t.Context(), dir, edition{"1.2.3", "2026-11-29"}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestManPages checks that every command and topic has a page, and that neither groff nor mandoc
// has anything to say about one.
func TestManPages(t *testing.T) {
	dir := generated(t)
	pages := []string{"man1/parley.1"}
	for _, c := range cli.Root(stdio.Streams{}).Commands {
		pages = append(pages, "man1/parley-"+c.Name+".1")
	}
	for _, topic := range docs.Topics() {
		pages = append(pages, "man7/parley-"+topic.Name+".7")
	}
	for _, p := range append(pages, "man1/parley-completion.1") {
		path := filepath.Join(dir, "man", p)
		for _, check := range [][]string{
			{"man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", path},
			{"mandoc", "-T", "lint", "-W", "warning", path},
		} {
			cmd := exec.Command(check[0], check[1:]...)
			cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MANROFFSEQ=")
			var errs strings.Builder
			cmd.Stderr = &errs
			out, err := cmd.Output()
			if check[0] == "mandoc" {
				errs.Write(out)
			}
			if err != nil || errs.Len() > 0 {
				t.Errorf("%s: %v\n%s", strings.Join(check, " "), err, errs.String())
			}
		}
		if source, err := os.ReadFile(path); err != nil || strings.Contains(string(source), `\ef`) || strings.Contains(string(source), "<!") {
			t.Errorf("%s: markup is escaped twice, or a comment is shown (%v)", p, err)
		}
	}
	all, err := filepath.Glob(filepath.Join(dir, "man", "*", "*"))
	if err != nil || len(all) != len(pages)+1 {
		t.Errorf("got %d pages, %v, want %d", len(all), err, len(pages)+1)
	}
}

// TestPageText checks what a reader of pages sees: each flag with its variable, examples as they
// are typed, and the code and tables of topics.
func TestPageText(t *testing.T) {
	dir := generated(t)
	for page, want := range map[string][]string{
		"man1/parley.1": {"parley-serve(1)", "run the signaling server and its pages", "PARLEY_SERVE_LISTEN", "Parley 1.2.3", "2026-11-29"},
		"man1/parley-serve.1": {"--listen ADDRESS", "Variable: PARLEY_SERVE_LISTEN", "   parley serve --acme call.example.org --turn :3478 --auth-jwt public.pem\n",
			"STUN AND TURN", "EXIT STATUS", "parley-server(7)"},
		"man1/parley-version.1": {"--schema WHAT"},
		"man7/parley-server.7":  {"$ parley serve --admin 127.0.0.1:0 --log off &\n", "--tls-cert FILE --tls-key FILE", "from files, read again when they change", "parley-capacity(7)"},
		"man7/parley-pipes.7":   {"parley pipe"},
	} {
		cmd := exec.Command("mandoc", "-T", "utf8", "-O", "width=120", filepath.Join(dir, "man", page))
		formatted, err := cmd.Output()
		if err != nil {
			t.Errorf("%s: %v", page, err)
			continue
		}
		text := strip(string(formatted))
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s lacks %q:\n%s", page, w, text)
			}
		}
		for _, markup := range []string{"](", "```", "**", `\f`, "|---"} {
			if strings.Contains(text, markup) {
				t.Errorf("%s has %q", page, markup)
			}
		}
	}
}

// strip removes the overstriking by which terminals show bold and underlined text.
func strip(text string) string {
	var b []rune
	for _, r := range text {
		if r == '\b' {
			b = b[:len(b)-1]
		} else {
			b = append(b, r)
		}
	}
	return string(b)
}

// TestCompletions checks that zsh and fish complete commands and flags by the generated scripts.
// The scripts for bash are in testdata/script of the command.
func TestCompletions(t *testing.T) {
	dir := generated(t)
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(bin, "parley"), "parley/cmd/parley").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for name, c := range map[string]struct {
		args []string
		want []string
	}{
		"fish command": {[]string{"fish", "--no-config", "-c", "source $argv[1]/completions/parley.fish; complete -C 'parley ser'", dir}, []string{"serve\t"}},
		"fish flag":    {[]string{"fish", "--no-config", "-c", "source $argv[1]/completions/parley.fish; complete -C 'parley serve --tls-s'", dir}, []string{"--tls-self-signed\t"}},
		"zsh":          {[]string{"zsh", "-f", "-c", zshCompletes, "zsh", dir}, []string{"serve", "--tls-self-signed"}},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // zsh waits without end for what it does not show
		defer cancel()
		cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
		cmd.WaitDelay = time.Second
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "HOME="+t.TempDir(), "TERM=dumb")
		out, err := cmd.CombinedOutput()
		for _, w := range c.want {
			if err != nil || !strings.Contains(string(out), w) {
				t.Errorf("%s: got %v\n%s\nwant %q", name, err, out, w)
			}
		}
	}
	script, err := os.ReadFile(filepath.Join(dir, "completions", "parley.ps1"))
	if err != nil || !strings.Contains(string(script), "-CommandName parley") || strings.Contains(string(script), "Invoke-Expression") {
		t.Errorf("got %v, %s", err, script)
	}
}

// zshCompletes starts an interactive zsh in a pseudo-terminal, completes two words there and prints
// what it shows.
const zshCompletes = `
zmodload zsh/zpty
zpty -b z zsh -f -i
zpty -w z "PS1=; fpath=($1/completions \$fpath); autoload -Uz compinit; compinit -u -d $1/zcompdump; print re''ady"
zpty -r z line '*ready*' || exit 1
zpty -w -n z $'parley ser\t --tls-s\t'
zpty -r z line '*--tls-self-signed*' || exit 1
print -r -- "$line"
zpty -d z
`
