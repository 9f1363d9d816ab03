//go:build !quick

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	urfave "github.com/urfave/cli/v3"

	"parley/cmd/parley/docs"
	"parley/cmd/parley/internal/cli"
	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/cmd/parley/internal/stdio"
)

// documents returns the README and all topics by name.
func documents(t *testing.T) map[string]string {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{"README": string(readme)}
	for _, topic := range docs.Topics() {
		all[topic.Name] = topic.Text
	}
	return all
}

// TestTranscripts runs every transcript of the README and of the topics. Numbers, random names and
// the order of lines may differ, nothing else; "..." stands for lines that are left out.
func TestTranscripts(t *testing.T) {
	documents := documents(t)
	for _, name := range slices.Sorted(maps.Keys(documents)) {
		blocks := regexp.MustCompile("(?s)```console\n(.*?)```").FindAllStringSubmatch(documents[name], -1)
		if name == "README" && len(blocks) == 0 {
			t.Error("README has no transcript")
		}
		for i, b := range blocks {
			t.Run(fmt.Sprintf("%s/%d", name, i+1), func(t *testing.T) { newTranscript(t).run(b[1]) })
		}
	}
}

// transcript is a shell session of a document, in a folder and with ports of its own.
type transcript struct {
	t      *testing.T
	dir    string
	env    []string
	listen string // address of its server
	// last is the exit code of the last command.
	last int
}

func newTranscript(t *testing.T) *transcript {
	path, err := e2etest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return &transcript{t: t, dir: t.TempDir(), listen: l.Addr().String(), env: append(os.Environ(),
		"PATH="+filepath.Dir(path)+":"+os.Getenv("PATH"),
		"PARLEY_SERVER=ws://"+strings.Replace(l.Addr().String(), "127.0.0.1", "localhost", 1))}
}

func (s *transcript) run(block string) {
	for _, part := range strings.Split("\n"+block, "\n$ ")[1:] {
		command, want, _ := strings.Cut(part, "\n")
		s.t.Log("$ " + command)
		switch background := strings.TrimSuffix(command, " &"); {
		case background != command:
			s.background(background)
		case command == "echo $?":
			if got := fmt.Sprintln(s.last); strings.TrimSpace(got) != strings.TrimSpace(want) {
				s.t.Fatalf("exit code %s, want %s", got, want)
			}
		default:
			s.compare(s.foreground(command), want)
		}
	}
}

// background starts a command and waits until it can be called, which it reports on its terminal or
// in the file that its output goes to. In the latter case nothing of it may appear in the terminal.
func (s *transcript) background(command string) {
	if strings.HasPrefix(command, "parley serve") {
		command += " --listen " + s.listen
	}
	p, err := e2etest.StartProcess(s.command("exec " + command))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = p.Cmd.Process.Kill(); <-p.Exited })
	redirected := regexp.MustCompile(`>(\S+\.log)`).FindStringSubmatch(command)
	if redirected == nil {
		p.Says(s.t, "signaling on|waiting for calls")
		return
	}
	log := redirected[1]
	s.t.Cleanup(func() {
		_ = p.Cmd.Process.Signal(os.Interrupt) // it may have ended
		if _, err := p.Wait(); err != nil {
			s.t.Error(err)
		}
		if shown := p.Out.String() + p.Err.String(); shown != "" {
			s.t.Errorf("%s & writes to the terminal:\n%s", command, shown)
		}
	})
	for {
		text, err := os.ReadFile(filepath.Join(s.dir, log))
		switch {
		case strings.Contains(string(text), "waiting for calls"):
			return
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			s.t.Fatal(err)
		}
		select {
		case <-p.Exited:
			s.t.Fatalf("%s ended: %s", command, text)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (s *transcript) command(line string) *exec.Cmd {
	cmd := exec.Command("bash", "-c", line)
	cmd.Dir, cmd.Env = s.dir, s.env
	return cmd
}

func (s *transcript) foreground(command string) string {
	var out bytes.Buffer
	cmd := s.command(command)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	s.last = cmd.ProcessState.ExitCode()
	return out.String()
}

// compare reports lines that are in one of the texts only.
func (s *transcript) compare(got, want string) {
	s.t.Helper()
	wanted, printed := lines(want), lines(got)
	for line := range wanted {
		if line != "..." && !printed[line] {
			s.t.Errorf("missing line %q in\n%s", line, got)
		}
	}
	for line := range printed {
		if !wanted[line] && !wanted["..."] {
			s.t.Errorf("unexpected line %q", line)
		}
	}
}

// lines returns the set of lines, without what differs in every run.
func lines(text string) map[string]bool {
	set := map[string]bool{}
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		line = regexp.MustCompile(`caller-[0-9a-f]{6}`).ReplaceAllString(line, "caller-X")
		set[regexp.MustCompile(`[0-9]+([.:T-][0-9]+)*Z?`).ReplaceAllString(line, "N")] = true
	}
	return set
}

var (
	// codeBlock matches fenced blocks with their language, and indented ones.
	codeBlock = regexp.MustCompile("(?s)(?:^|\n)```([a-z]+)\n(.*?)\n```|((?:\n    [^\n]+)+)")
	// inlineCode matches code in a line of text.
	inlineCode = regexp.MustCompile("`(parley [^`\n]+)`")
	// invocation matches a command of parley with its operands, without what is quoted.
	invocation = regexp.MustCompile(`(?m)(?:^|[&|;$=(]|\bdo|\bwhile|--network host|\{)\s*parley ([a-z]+)([^|;&>\n]*)`)
	quotedText = regexp.MustCompile(`'[^'\n]*'|"[^"\n]*"`)
)

// TestDocumentedCommands checks that parley has every command and flag that the README and the
// topics use, and that a shell, Node and Python can read the code in their language.
func TestDocumentedCommands(t *testing.T) {
	documents := documents(t)
	for _, name := range slices.Sorted(maps.Keys(documents)) {
		t.Run(name, func(t *testing.T) {
			for _, block := range codeBlock.FindAllStringSubmatch(documents[name], -1) {
				checkCode(t, block[1], block[2]+strings.ReplaceAll(block[3], "\n    ", "\n"))
			}
			for _, code := range inlineCode.FindAllStringSubmatch(documents[name], -1) {
				checkInvocations(t, code[1])
			}
		})
	}
}

// checkCode checks a block of code; blocks without a language are commands.
func checkCode(t *testing.T, language, code string) {
	t.Helper()
	switch language {
	case "json":
	case "js":
		checkSyntax(t, code, "node", "--input-type=module", "--check", "-")
	case "python":
		checkSyntax(t, code, "python3", "-c", "import ast, sys; ast.parse(sys.stdin.read())")
	case "dockerfile":
		code = strings.ReplaceAll(code, "\\\n", " ")
		for line := range strings.Lines(code) {
			word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
			if word == "RUN" {
				checkSyntax(t, rest, "bash", "-n")
			} else if !slices.Contains([]string{"FROM", "WORKDIR", "COPY", "EXPOSE", "ENTRYPOINT", "CMD", ""}, word) {
				t.Errorf("unknown instruction %q", line)
			}
		}
	case "yaml":
		steps := strings.Split(code, "\n      - ")[1:]
		if len(steps) == 0 && !strings.Contains(code, "\n    uses: ./.github/workflows/") {
			t.Errorf("a workflow without steps:\n%s", code)
		}
		for _, step := range steps {
			script, runs := strings.CutPrefix(step, "run: |\n")
			if runs {
				checkSyntax(t, script, "bash", "-n")
			} else if !regexp.MustCompile(`^uses: [a-z-]+/[a-z-]+@v\d+(\n|$)`).MatchString(step) {
				t.Errorf("a step neither runs a script nor uses an action: %s", step)
			}
		}
		checkInvocations(t, code)
	case "sh":
		checkSyntax(t, code, "bash", "-n")
		checkInvocations(t, code)
	case "console", "text", "":
		checkInvocations(t, code)
	default:
		t.Errorf("no check for code in %s", language)
	}
}

// checkSyntax runs a program that reads code from its standard input.
func checkSyntax(t *testing.T, code, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Stdin = strings.NewReader(code)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s\n%s", program, err, out, code)
	}
}

// checkInvocations checks the commands and flags of parley in a script.
func checkInvocations(t *testing.T, script string) {
	t.Helper()
	script = quotedText.ReplaceAllString(strings.ReplaceAll(script, "\\\n", " "), "X")
	for _, c := range invocation.FindAllStringSubmatch(script, -1) {
		command := cli.Root(stdio.Streams{}).Command(c[1])
		if c[1] == "completion" || c[1] == "help" {
			continue
		}
		if command == nil {
			t.Errorf("unknown command in %q", strings.TrimSpace(c[0]))
			continue
		}
		for _, flag := range regexp.MustCompile(`(?:^|\s)--([a-z0-9-]+)`).FindAllStringSubmatch(c[2], -1) {
			if flag[1] != "help" && !slices.ContainsFunc(command.Flags, func(f urfave.Flag) bool { return slices.Contains(f.Names(), flag[1]) }) {
				t.Errorf("parley %s has no flag --%s", c[1], flag[1])
			}
		}
	}
}
