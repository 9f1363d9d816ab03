// Package process runs programs in process groups, so that Stop ends everything that a program has
// started.
package process

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"time"
	"unicode"
)

const (
	// Grace is the time that a program has to end by itself before it is killed.
	Grace = 2 * time.Second
	// maxStderr is the number of bytes of standard error that are kept, and maxLines the number of
	// lines of these that errors contain.
	maxStderr = 4 << 10
	maxLines  = 3
)

// Process is a running program with all that it has started.
type Process struct {
	cmd    *exec.Cmd
	stderr tail
	exited chan struct{} // closed when err is set
	err    error         // of Wait
}

// Start starts cmd in a process group of its own and keeps the end of its standard error. The
// caller calls Stop.
func Start(cmd *exec.Cmd) (*Process, error) {
	setGroup(cmd)
	p := &Process{cmd: cmd, exited: make(chan struct{})}
	cmd.Stderr, cmd.WaitDelay = &p.stderr, Grace
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the program: %w", err)
	}
	go func() {
		// A process that the program left behind may keep its standard error open, which is no
		// failure.
		if err := cmd.Wait(); !errors.Is(err, exec.ErrWaitDelay) {
			p.err = err
		}
		close(p.exited)
	}()
	return p, nil
}

// Exited returns a channel that is closed when the program has exited.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Err returns why a program that has exited failed, with the end of its standard error. Err is nil
// for success.
func (p *Process) Err() error {
	if p.err == nil {
		return nil
	}
	if text := p.Stderr(); text != "" {
		return fmt.Errorf("the program failed (%w): %s", p.err, text)
	}
	return fmt.Errorf("the program failed (%w)", p.err)
}

// Stderr returns the last lines of standard error as one line, without control characters.
func (p *Process) Stderr() string { return p.stderr.String() }

// Stop ends the process group and waits for the program. It terminates the group first and kills
// what is left of it after Grace.
func (p *Process) Stop() {
	signalGroup(p.cmd, false)
	select {
	case <-p.exited:
	case <-time.After(Grace):
	}
	p.Kill()
}

// Kill kills the process group and waits for the program.
func (p *Process) Kill() {
	signalGroup(p.cmd, true)
	<-p.exited
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex // guards text
	text []byte
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if extra := len(t.text) - maxStderr; extra > 0 {
		t.text = append(t.text[:0], t.text[extra:]...)
	}
	return len(p), nil
}

// String returns the last lines as one line, without control characters. All other text is
// unchanged: who prints it escapes what a terminal obeys.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var last []string
	for line := range bytes.FieldsFuncSeq(t.text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		words := strings.FieldsFunc(string(line), unicode.IsControl)
		if clean := strings.Trim(strings.Join(words, " "), " "); clean != "" {
			last = append(last, clean)
		}
	}
	return strings.Join(last[max(0, len(last)-maxLines):], " / ")
}
