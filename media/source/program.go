package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
	"unicode"
)

const (
	programGrace = 2 * time.Second // for a program that is told to end, then it is killed
	programTail  = 4 << 10         // bytes of what it said last that are kept
)

// program is the output of a program that the shell runs, with all that it starts, in a process group of its own: what
// ends with the source is the whole pipeline.
type program struct {
	command string

	mu  sync.Mutex // guards what follows: unblock comes from another goroutine
	run *running
}

// running is one run of a program.
type running struct {
	cmd    *exec.Cmd
	out    *os.File
	talk   *tail
	exited chan struct{} // closed when err is set
	err    error         // of Wait
}

func startProgram(command string) (*program, error) {
	p := &program{command: command}
	var err error
	p.run, err = runProgram(command)
	return p, err
}

// runProgram starts a command of the shell, whose output comes on out.
func runProgram(command string) (*running, error) {
	cmd := shell(command)
	setGroup(cmd)
	out, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd.Stdout = theirs
	r, err := startRunning(cmd)
	if err != nil {
		_ = out.Close()
		return nil, err
	}
	r.out = out
	return r, nil
}

// startRunning starts a program and keeps the end of what it says.
func startRunning(cmd *exec.Cmd) (*running, error) {
	r := &running{cmd: cmd, talk: &tail{}, exited: make(chan struct{})}
	cmd.Stderr, cmd.WaitDelay = r.talk, programGrace
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start it: %w", err)
	}
	go func() {
		// Something it has left behind may hold on to its stderr, which is no failure.
		if err := cmd.Wait(); !errors.Is(err, exec.ErrWaitDelay) {
			r.err = err
		}
		close(r.exited)
	}()
	return r, nil
}

func (p *program) current() *running {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.run
}

func (p *program) Read(b []byte) (int, error) {
	n, err := p.current().out.Read(b)
	if err != nil && !errors.Is(err, io.EOF) && errors.Is(err, os.ErrClosed) {
		err = io.EOF
	}
	return n, err
}

func (p *program) random() (io.ReaderAt, int64) { return nil, 0 }

// again runs the program once more.
func (p *program) again() error {
	if err := p.Close(); err != nil {
		return err
	}
	next, err := runProgram(p.command)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.run = next
	return nil
}

func (p *program) unblock() { _ = p.current().out.SetReadDeadline(time.Unix(1, 0)) }

// ended waits for the program, whose output is over, and tells if it failed.
func (p *program) ended() error {
	r := p.current()
	select {
	case <-r.exited:
	case <-time.After(programGrace):
		r.stop()
	}
	return r.failure()
}

// failure tells what a program that has exited said of it.
func (r *running) failure() error {
	if r.err == nil {
		return nil
	}
	if said := r.talk.String(); said != "" {
		return fmt.Errorf("the program failed (%w): %s", r.err, said)
	}
	return fmt.Errorf("the program failed (%w)", r.err)
}

// stop ends a program and waits for it.
func (r *running) stop() {
	endGroup(r.cmd, false)
	select {
	case <-r.exited:
	case <-time.After(programGrace):
	}
	endGroup(r.cmd, true) // also what it has left behind
	<-r.exited
}

// Close ends the program.
func (p *program) Close() error {
	r := p.current()
	_ = r.out.Close()
	r.stop()
	return nil
}

// tail keeps the end of what a program says.
type tail struct {
	mu   sync.Mutex // guards text
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if extra := len(t.text) - programTail; extra > 0 {
		t.text = append(t.text[:0], t.text[extra:]...)
	}
	return len(p), nil
}

// String is the last lines, as one that a terminal can show.
func (t *tail) String() string {
	const lines = 3
	t.mu.Lock()
	defer t.mu.Unlock()
	var last []string
	for line := range bytes.FieldsFuncSeq(t.text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		clean := strings.TrimSpace(strings.Map(func(r rune) rune {
			if unicode.IsPrint(r) {
				return r
			}
			return ' '
		}, string(line)))
		if clean != "" {
			last = append(last, clean)
		}
	}
	return strings.Join(last[max(0, len(last)-lines):], " / ")
}
