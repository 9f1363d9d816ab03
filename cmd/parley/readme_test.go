package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestReadme runs every transcript of README.md. Numbers, random names and the
// order of lines may differ, nothing else; "..." stands for lines that are left
// out.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```console\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) == 0 {
		t.Fatal("there are no transcripts")
	}
	for i, b := range blocks {
		t.Run(fmt.Sprint(i+1), func(t *testing.T) { newTranscript(t).run(b[1]) })
	}
}

// transcript is a shell session of README, in a folder and with ports of its own.
type transcript struct {
	t   *testing.T
	dir string
	env []string
	// last is the exit code of the last command.
	last int
}

func newTranscript(t *testing.T) *transcript {
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return &transcript{t: t, dir: t.TempDir(), env: append(os.Environ(),
		"PATH="+filepath.Dir(path)+":"+os.Getenv("PATH"),
		"PARLEY_LISTEN="+l.Addr().String(), "PARLEY_SERVER=ws://"+strings.Replace(l.Addr().String(), "127.0.0.1", "localhost", 1))}
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
				s.t.Fatalf("exit code %s, README says %s", got, want)
			}
		default:
			s.compare(s.foreground(command), want)
		}
	}
}

// background starts a command and waits until it can be called, which it says
// on its terminal or in the file that 2> names.
func (s *transcript) background(command string) {
	p, err := startProcess(s.command("exec " + command))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = p.cmd.Process.Kill(); <-p.exited })
	_, log, redirected := strings.Cut(command, "2>")
	if !redirected {
		p.says(s.t, "signaling on|waiting for calls")
		return
	}
	for {
		text, err := os.ReadFile(filepath.Join(s.dir, log))
		switch {
		case strings.Contains(string(text), "waiting for calls"):
			return
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			s.t.Fatal(err)
		}
		select {
		case <-p.exited:
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

// compare tells which lines are in one but not in the other.
func (s *transcript) compare(got, want string) {
	s.t.Helper()
	wanted, said := lines(want), lines(got)
	for line := range wanted {
		if line != "..." && !said[line] {
			s.t.Errorf("README says %q; it said\n%s", line, got)
		}
	}
	for line := range said {
		if !wanted[line] && !wanted["..."] {
			s.t.Errorf("it said %q, which README does not show", line)
		}
	}
}

// lines are the different lines, without what is new every time.
func lines(text string) map[string]bool {
	set := map[string]bool{}
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		line = regexp.MustCompile(`caller-[0-9a-f]{6}`).ReplaceAllString(line, "caller-X")
		set[regexp.MustCompile(`[0-9]+([.:T-][0-9]+)*Z?`).ReplaceAllString(line, "N")] = true
	}
	return set
}
