package adapter

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"parley/cmd/parley/internal/stdio"
	"parley/signal"
)

const (
	// patience is the time that a program has to pass on the last messages and to end by itself
	// after its input has ended.
	patience = 3 * time.Second
	// grace is the time that a program has to end after a signal.
	grace = time.Second
	// maxStderrLine bounds a line of standard error in bytes.
	maxStderrLine = 4 << 10
	// maxQueued bounds the lines that wait until the program reads them.
	maxQueued = 256
)

// program is a running command with its standard streams. It forms a process group, which ends with
// it.
type program struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *os.File
	queue  chan []byte
	closed chan struct{} // closed when nothing more is to be written
	exited chan struct{} // closed when status is set
	status error         // of cmd.Wait
	work   sync.WaitGroup

	mu   sync.Mutex // guards last
	last string     // line of standard error
}

// startProgram runs a command line by the shell. stderr gets each line of its standard error, which
// is not trusted.
func startProgram(command string, stderr func(line string)) (*program, error) {
	p := &program{cmd: shell(command), queue: make(chan []byte, maxQueued), closed: make(chan struct{}), exited: make(chan struct{})}
	out, theirs, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("failed to make a pipe: %w", err)
	}
	defer theirs.Close()
	errors, write := io.Pipe()
	p.out, p.cmd.Stdout, p.cmd.Stderr, p.cmd.WaitDelay = out, theirs, write, grace
	if p.in, err = p.cmd.StdinPipe(); err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		_ = out.Close()
		return nil, fmt.Errorf("failed to start the signaling program: %w", err)
	}
	p.work.Go(func() { p.readErrors(errors, stderr) })
	p.work.Go(p.writeLines)
	p.work.Go(func() {
		p.wait()
		_ = write.Close()
	})
	return p, nil
}

// wait waits for the end of the program. What a process of it has left to read is read for grace at
// most.
func (p *program) wait() {
	if err := p.cmd.Wait(); !errors.Is(err, exec.ErrWaitDelay) {
		p.status = err
	}
	_ = p.out.SetReadDeadline(time.Now().Add(grace))
	close(p.exited)
}

// readErrors passes standard error on.
func (p *program) readErrors(in *io.PipeReader, pass func(line string)) {
	_ = stdio.EachLine(in, maxStderrLine, func(line []byte, tooLong bool) bool {
		text := "(a line of more than 4 KiB)"
		if !tooLong {
			text = trimLine(line)
		}
		if text == "" {
			return true
		}
		p.mu.Lock()
		p.last = text
		p.mu.Unlock()
		pass(text)
		return true
	})
}

// trimLine returns a line without its end.
func trimLine(line []byte) string {
	for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
		line = line[:len(line)-1]
	}
	return string(line)
}

// writeLines writes the lines of the queue until a write fails or the program is closed, and then
// ends the input of the program.
func (p *program) writeLines() {
	defer func() { _ = p.in.Close() }() // the program may be gone
	for {
		select {
		case line := <-p.queue:
			if _, err := p.in.Write(line); err != nil {
				return
			}
		case <-p.exited:
			return
		case <-p.closed:
			for len(p.queue) > 0 {
				if _, err := p.in.Write(<-p.queue); err != nil {
					return
				}
			}
			return
		}
	}
}

// stop ends the program and waits for it: first by the end of its input, then by a signal, then by
// killing the group.
func (p *program) stop() {
	close(p.closed)
	if !p.ends(patience) {
		signalGroup(p.cmd, false)
		p.ends(grace)
	}
	signalGroup(p.cmd, true)
	_ = p.in.Close() // a write to a program that did not read
	<-p.exited
	_ = p.out.Close()
	p.work.Wait()
}

// ends waits for the end of the program, and reports whether it came in time.
func (p *program) ends(within time.Duration) bool {
	select {
	case <-p.exited:
		return true
	case <-time.After(within):
		return false
	}
}

// err returns why a program that has exited did so, nil for status 0. It contains the last line of
// standard error.
func (p *program) err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.status == nil:
		return nil
	case p.last != "":
		return fmt.Errorf("%w: %s", p.status, signal.Printable(p.last))
	}
	return p.status
}
