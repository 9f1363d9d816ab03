package e2etest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"parley/cmd/parley/internal/exit"
)

// Patience is the time that a test waits for what should happen soon.
const Patience = 60 * time.Second

// Process is a running program, in most tests parley.
type Process struct {
	Cmd      *exec.Cmd
	In       io.WriteCloser // stdin with --input and of StartTyping, or nil
	Out, Err *Output
	Exited   chan struct{} // closed after Cmd.Wait
}

// Start runs parley in the background, in a folder of its own, until the test ends. Its arguments
// and output are logged if the test fails.
func Start(t *testing.T, args ...string) *Process {
	t.Helper()
	path, err := Binary()
	if err != nil {
		t.Fatal(err)
	}
	return Launch(t, exec.Command(path, args...), args)
}

// StartTyping is Start for a process that reads lines, which [Process.Type] writes.
func StartTyping(t *testing.T, args ...string) *Process {
	t.Helper()
	path, err := Binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := Launch(t, cmd, args)
	p.In = in
	return p
}

// StartCommanded is Start with --input ndjson. write writes a command and waits until the reply
// reports success.
func StartCommanded(t *testing.T, args ...string) (p *Process, write func(command string)) {
	t.Helper()
	p = Start(t, append(args, "--input", "ndjson", "--output", "ndjson", "--stats-interval", "0")...)
	id := 0
	return p, func(command string) {
		t.Helper()
		id++
		if _, err := io.WriteString(p.In, fmt.Sprintf(`{"id":%d,%s}`+"\n", id, command)); err != nil {
			t.Fatal(err)
		}
		p.Says(t, fmt.Sprintf(`"event":"reply".*"id":%d,"command":"[a-z-]+","ok":true`, id))
	}
}

// Serve runs parley serve until the test ends and returns the URL of its page and the address of
// its signaling.
func Serve(t *testing.T, flags ...string) (page, server string) {
	t.Helper()
	p := Start(t, append([]string{"serve", "--listen", "127.0.0.1:0", "--output", "ndjson"}, flags...)...)
	p.Says(t, `"event":"listening"`)
	events, err := ReadEvents(p.Out.String())
	if err != nil {
		t.Fatal(err)
	}
	page = strings.TrimSuffix(fmt.Sprint(events[0]["url"]), "/")
	return page, "ws" + strings.TrimPrefix(page, "http")
}

// ServeEvents is Serve and also returns the events up to listening.
func ServeEvents(t *testing.T, args ...string) (page, server string, events []Event) {
	t.Helper()
	p := Start(t, append([]string{"serve", "--listen", "127.0.0.1:0", "--output", "ndjson"}, args...)...)
	p.Says(t, `"event":"listening".*\n`)
	events, err := ReadEvents(p.Out.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e["event"] == "listening" {
			page = strings.TrimSuffix(e["url"].(string), "/")
		}
	}
	return page, "ws" + strings.TrimPrefix(page, "http"), events
}

// Launch is Start for a command; args describe it in the log.
func Launch(t *testing.T, cmd *exec.Cmd, args []string) *Process {
	t.Helper()
	cmd.Dir = t.TempDir()
	var in io.WriteCloser
	var err error
	if slices.Contains(args, "--input") {
		if in, err = cmd.StdinPipe(); err != nil {
			t.Fatal(err)
		}
	}
	p, err := StartProcess(cmd)
	if err != nil {
		t.Fatal(err)
	}
	p.In = in
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-p.Exited
		if t.Failed() {
			t.Logf("parley %s\n%s%s", strings.Join(args, " "), p.Out, p.Err)
		}
	})
	return p
}

// StartProcess runs a command in the background. Out gets its stdout, unless the command has
// another one.
func StartProcess(cmd *exec.Cmd) (*Process, error) {
	p := &Process{Cmd: cmd, Out: NewOutput(), Err: NewOutput(), Exited: make(chan struct{})}
	if cmd.Stderr = p.Err; cmd.Stdout == nil {
		cmd.Stdout = p.Out
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.Exited)
		_ = cmd.Wait() // its result is in ProcessState
	}()
	return p, nil
}

// Wait waits for the end of the process and returns its exit code.
func (p *Process) Wait() (int, error) {
	select {
	case <-p.Exited:
		return p.Cmd.ProcessState.ExitCode(), nil
	case <-time.After(Patience):
		_ = p.Cmd.Process.Signal(syscall.SIGQUIT) // shows where it hangs
		return 0, fmt.Errorf("it does not end; it said\n%s%s", p.Out, p.Err)
	}
}

// Ends waits for the end of the process and fails the test if the exit code is another one.
func (p *Process) Ends(t *testing.T, code int) {
	t.Helper()
	got, err := p.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if got != code {
		t.Fatalf("exit code %d, want %d; it said\n%s%s", got, code, p.Out, p.Err)
	}
}

// Interrupt sends SIGINT and waits until the process has ended with the exit code of an interrupt.
func Interrupt(t *testing.T, p *Process) {
	t.Helper()
	if err := p.Cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	p.Ends(t, int(exit.Interrupted))
}

// Until waits until Out or Err matches a regular expression.
func (p *Process) Until(pattern string) error {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return err
	}
	timeout := time.After(Patience)
	for {
		outMore, errMore := p.Out.Change(), p.Err.Change()
		if re.MatchString(p.Out.String()) || re.MatchString(p.Err.String()) {
			return nil
		}
		select {
		case <-outMore:
		case <-errMore:
		case <-p.Exited:
			if re.MatchString(p.Out.String()) || re.MatchString(p.Err.String()) {
				return nil
			}
			return fmt.Errorf("it ended without saying %q; it said\n%s%s", pattern, p.Out, p.Err)
		case <-timeout:
			return fmt.Errorf("it does not say %q; it said\n%s%s", pattern, p.Out, p.Err)
		}
	}
}

// Says is Until, and fails the test where Until returns an error.
func (p *Process) Says(t *testing.T, pattern string) {
	t.Helper()
	if err := p.Until(pattern); err != nil {
		t.Fatal(err)
	}
}

// Type writes a line to a process of StartTyping.
func (p *Process) Type(t *testing.T, line string) {
	t.Helper()
	if _, err := fmt.Fprintln(p.In, line); err != nil {
		t.Fatal(err)
	}
}

// Output collects what a process writes.
type Output struct {
	mu   sync.Mutex // guards the following
	buf  bytes.Buffer
	more chan struct{}
}

// NewOutput returns an empty output.
func NewOutput() *Output { return &Output{more: make(chan struct{})} }

// Write implements io.Writer.
func (w *Output) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.more)
	w.more = make(chan struct{})
	return w.buf.Write(p)
}

// String returns what was written.
func (w *Output) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

// Change returns a channel that is closed when more is written.
func (w *Output) Change() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.more
}

// Complete returns what was written up to the end of the last whole line.
func (w *Output) Complete() string {
	s := w.String()
	return s[:strings.LastIndexByte(s, '\n')+1]
}
