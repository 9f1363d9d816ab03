package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"parley/cmd/parley/internal/event/eventtest"
)

// patience is how long a test waits for what should happen soon.
const patience = 60 * time.Second

// process is a parley that runs beside a test.
type process struct {
	cmd      *exec.Cmd
	in       io.WriteCloser // with --input, and of a chat
	out, err *watched
	exited   chan struct{} // closed after cmd.Wait
}

// startProcess runs a command in the background. Its stdout is kept in out, unless
// it has another one.
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, out: newWatched(), err: newWatched(), exited: make(chan struct{})}
	if cmd.Stderr = p.err; cmd.Stdout == nil {
		cmd.Stdout = p.out
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.exited)
		_ = cmd.Wait() // its result is in ProcessState
	}()
	return p, nil
}

// wait returns the exit code.
func (p *process) wait() (int, error) {
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(patience):
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // shows where it hangs
		return 0, fmt.Errorf("it does not end; it said\n%s%s", p.out, p.err)
	}
}

// until waits until the output, of either kind, matches a pattern.
func (p *process) until(pattern string) error {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return err
	}
	timeout := time.After(patience)
	for {
		outMore, errMore := p.out.change(), p.err.change()
		if re.MatchString(p.out.String()) || re.MatchString(p.err.String()) {
			return nil
		}
		select {
		case <-outMore:
		case <-errMore:
		case <-p.exited:
			if re.MatchString(p.out.String()) || re.MatchString(p.err.String()) {
				return nil
			}
			return fmt.Errorf("it ended without saying %q; it said\n%s%s", pattern, p.out, p.err)
		case <-timeout:
			return fmt.Errorf("it does not say %q; it said\n%s%s", pattern, p.out, p.err)
		}
	}
}

// watched is output that can be waited for.
type watched struct {
	mu   sync.Mutex // protects following
	buf  bytes.Buffer
	more chan struct{}
}

func newWatched() *watched { return &watched{more: make(chan struct{})} }

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.more)
	w.more = make(chan struct{})
	return w.buf.Write(p)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

// change is closed when more is written.
func (w *watched) change() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.more
}

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
	p, err := startProcess(cmd)
	ts.Check(err)
	p.in = in
	ts.Defer(func() { _ = cmd.Process.Kill(); <-p.exited })
	ts.Value("running").(map[string]*process)[args[0]] = p
	ts.Check(p.until(`waiting for calls|signaling on|calling|trying again|"event":"login"|setup\.median`))
}

// write NAME LINE writes a line to a background parley that was started with
// --input, or is a chat; write NAME EOF ends its input.
func writeProcess(ts *testscript.TestScript, _ bool, args []string) {
	in := running(ts, args[0]).in
	if args[1] == "EOF" {
		ts.Check(in.Close())
		return
	}
	_, err := io.WriteString(in, args[1]+"\n")
	ts.Check(err)
}

func running(ts *testscript.TestScript, name string) *process {
	p := ts.Value("running").(map[string]*process)[name]
	if p == nil {
		ts.Fatalf("%s was not started", name)
	}
	return p
}

// finish NAME CODE waits for the end of a background parley, and writes what it
// said to NAME.out and NAME.err.
func finish(ts *testscript.TestScript, _ bool, args []string) {
	p := running(ts, args[0])
	code, err := p.wait()
	ts.Check(err)
	ts.Logf("[%s stdout]\n%s[%s stderr]\n%s", args[0], p.out, args[0], p.err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".out"), []byte(p.out.String()), 0o666))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".err"), []byte(p.err.String()), 0o666))
	if got := fmt.Sprint(code); got != args[1] {
		ts.Fatalf("%s: exit code %s, want %s", args[0], got, args[1])
	}
}

// interrupt NAME is Ctrl-C; interrupt NAME term is SIGTERM, interrupt NAME kill is SIGKILL.
func interrupt(ts *testscript.TestScript, _ bool, args []string) {
	s := map[string]os.Signal{"": os.Interrupt, "term": syscall.SIGTERM, "kill": os.Kill}[strings.Join(args[1:], "")]
	ts.Check(running(ts, args[0]).cmd.Process.Signal(s))
}

// await NAME PATTERN waits until a background parley has said it.
func await(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(running(ts, args[0]).until(args[1]))
}

// jsonEvent is one line of --output ndjson.
type jsonEvent map[string]any

func readEvents(text string) ([]jsonEvent, error) {
	var events []jsonEvent
	d := json.NewDecoder(strings.NewReader(text))
	for {
		var e jsonEvent
		var line json.RawMessage
		err := d.Decode(&line)
		if err == io.EOF {
			return events, nil
		}
		if err == nil {
			err = json.Unmarshal(line, &e)
		}
		if err != nil {
			return nil, fmt.Errorf("not NDJSON: %w\n%s", err, text)
		}
		if err := eventtest.Validate("event", string(line)); err != nil {
			return nil, err
		}
		if _, err := time.Parse(time.RFC3339, fmt.Sprint(e["time"])); err != nil || e["event"] == nil {
			return nil, fmt.Errorf("an event without time or name: %v", e)
		}
		events = append(events, e)
	}
}

// has reports whether the event has all of KEY=VALUE; KEY alone must be there.
func (e jsonEvent) has(want []string) bool {
	for _, w := range want {
		key, value, hasValue := strings.Cut(w, "=")
		got, ok := e[key]
		if !ok || hasValue && fmt.Sprint(got) != value {
			return false
		}
	}
	return true
}

// complete is what was written, up to the end of the last whole line.
func (w *watched) complete() string {
	s := w.String()
	return s[:strings.LastIndexByte(s, '\n')+1]
}
