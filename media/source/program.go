package source

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"parley/media/internal/process"
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
	*process.Process
	out *os.File
}

func startProgram(command string) (*program, error) {
	p := &program{command: command}
	var err error
	p.run, err = runProgram(command)
	return p, err
}

// runProgram starts a command of the shell, whose output comes on out.
func runProgram(command string) (*running, error) {
	cmd := process.Shell(command)
	out, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd.Stdout = theirs
	run, err := process.Start(cmd)
	if err != nil {
		_ = out.Close()
		return nil, err
	}
	return &running{run, out}, nil
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
	case <-r.Exited():
	case <-time.After(process.Grace):
		r.Stop()
	}
	return r.Err()
}

// Close ends the program.
func (p *program) Close() error {
	r := p.current()
	_ = r.out.Close()
	r.Stop()
	return nil
}
