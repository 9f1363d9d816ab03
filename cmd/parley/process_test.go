package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// start NAME parley ARGS... runs parley in the background, and goes on as soon
// as it can be called.
func start(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: start NAME parley ARGS...")
	}
	path := ""
	for _, dir := range strings.Split(ts.Getenv("PATH"), ":") {
		if _, err := os.Stat(dir + "/" + args[1]); err == nil {
			path = dir + "/" + args[1]
			break
		}
	}
	cmd := exec.Command(path, args[2:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, v := range []string{"PATH", "HOME", "TMPDIR", "PARLEY_SERVER", "NO_COLOR"} {
		cmd.Env = append(cmd.Env, v+"="+ts.Getenv(v))
	}
	var in io.WriteCloser
	if slices.Contains(args, "--input") || args[2] == "chat" {
		var err error
		in, err = cmd.StdinPipe()
		ts.Check(err)
	}
	p, err := e2etest.StartProcess(cmd)
	ts.Check(err)
	p.In = in
	ts.Defer(func() { _ = cmd.Process.Kill(); <-p.Exited })
	ts.Value("running").(map[string]*e2etest.Process)[args[0]] = p
	ts.Check(p.Until(`waiting for calls|signaling on|calling|trying again|"event":"login"|waiting for the peer|setup\.median`))
}

// write NAME LINE writes a line to a background parley that was started with
// --input, or is a chat; write NAME EOF ends its input.
func writeProcess(ts *testscript.TestScript, _ bool, args []string) {
	in := running(ts, args[0]).In
	if args[1] == "EOF" {
		ts.Check(in.Close())
		return
	}
	_, err := io.WriteString(in, args[1]+"\n")
	ts.Check(err)
}

func running(ts *testscript.TestScript, name string) *e2etest.Process {
	p := ts.Value("running").(map[string]*e2etest.Process)[name]
	if p == nil {
		ts.Fatalf("%s was not started", name)
	}
	return p
}

// finish NAME CODE waits for the end of a background parley, and writes what it
// said to NAME.out and NAME.err.
func finish(ts *testscript.TestScript, _ bool, args []string) {
	p := running(ts, args[0])
	code, err := p.Wait()
	ts.Check(err)
	ts.Logf("[%s stdout]\n%s[%s stderr]\n%s", args[0], p.Out, args[0], p.Err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".out"), []byte(p.Out.String()), 0o666))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".err"), []byte(p.Err.String()), 0o666))
	if got := fmt.Sprint(code); got != args[1] {
		ts.Fatalf("%s: exit code %s, want %s", args[0], got, args[1])
	}
}

// interrupt NAME is Ctrl-C; interrupt NAME term is SIGTERM, interrupt NAME kill is SIGKILL.
func interrupt(ts *testscript.TestScript, _ bool, args []string) {
	s := map[string]os.Signal{"": os.Interrupt, "term": syscall.SIGTERM, "kill": os.Kill}[strings.Join(args[1:], "")]
	ts.Check(running(ts, args[0]).Cmd.Process.Signal(s))
}

// await NAME PATTERN waits until a background parley has said it.
func await(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(running(ts, args[0]).Until(args[1]))
}
