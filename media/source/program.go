package source

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"parley/media/internal/process"
)

// program is the standard output of a command that the shell runs. The command and everything it
// starts form a process group, which ends with the source.
type program struct {
	command string

	mu  sync.Mutex // guards run: cancel comes from another goroutine
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

// runProgram starts a command whose output out reads.
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

func (p *program) readerAt() (io.ReaderAt, int64) { return nil, 0 }

// rewind runs the program again.
func (p *program) rewind() error {
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

func (p *program) cancel() { _ = p.current().out.SetReadDeadline(time.Unix(1, 0)) }

// exitErr waits for the program, whose output has ended, and returns its error.
func (p *program) exitErr() error {
	r := p.current()
	select {
	case <-r.Exited():
	case <-time.After(process.Grace):
		r.Stop()
	}
	return r.Err()
}

// Close terminates the program.
func (p *program) Close() error {
	r := p.current()
	_ = r.out.Close()
	r.Stop()
	return nil
}
