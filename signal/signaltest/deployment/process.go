package deployment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a program that runs beside this one and can be started again with the same arguments.
type Process struct {
	// Name is for messages.
	Name string
	// Log is the file that its output is appended to.
	Log string

	path   string
	args   []string
	cmd    *exec.Cmd
	exited chan struct{} // closed after cmd.Wait
}

// NewProcess returns a process that is not started.
func NewProcess(name, log, path string, args ...string) *Process {
	return &Process{Name: name, Log: log, path: path, args: args}
}

// Start starts the process, in a process group of its own: an interrupt of the terminal does
// not reach it.
func (p *Process) Start() error {
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	cmd := exec.Command(p.path, p.args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "TMPDIR="+filepath.Dir(p.Log)) // one that is killed leaves its files behind
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	exited := make(chan struct{})
	p.cmd, p.exited = cmd, exited
	go func() {
		defer close(exited)
		_ = cmd.Wait() // its result is in ProcessState
	}()
	return nil
}

// Running reports whether the process was started and has not ended.
func (p *Process) Running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// PID returns the ID of the process, 0 if it was not started.
func (p *Process) PID() int {
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Kill ends the process at once, as a power failure does.
func (p *Process) Kill() {
	if p.cmd != nil {
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

// Stop requests the process to end and waits for that, no longer than ctx. Then it is killed.
func (p *Process) Stop(ctx context.Context) error {
	if p.cmd == nil {
		return nil
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
		return nil
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("%s did not end: %w", p.Name, context.Cause(ctx))
	}
}

// CPU returns the CPU time of the process so far.
func (p *Process) CPU() (time.Duration, error) { return CPU(p.PID()) }

// Memory returns what the process has in memory, in KiB.
func (p *Process) Memory() (float64, error) { return Memory(p.PID()) }

// CPU returns the CPU time of a process so far, with that of its threads that have ended.
func CPU(pid int) (time.Duration, error) {
	const perProcess, schedulerTime = 0, 2 // clock_getcpuclockid(3), Linux
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|perProcess|schedulerTime), &t); err != nil {
		return 0, fmt.Errorf("CPU time of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// Memory returns what a process has in memory, in KiB (VmRSS of proc_pid_status(5)).
func Memory(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	text, _, ok := strings.Cut(strings.TrimSpace(rest), " kB")
	if !ok {
		return 0, errors.New("no VmRSS in /proc")
	}
	return strconv.ParseFloat(text, 64)
}

// LastOutput returns the end of the output.
func (p *Process) LastOutput() string {
	const most = 2000
	text, err := os.ReadFile(p.Log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-most):])
}
