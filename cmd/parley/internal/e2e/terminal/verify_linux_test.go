package terminal

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/cmd/parley/internal/exit"
	"parley/signal/server"
	"parley/signal/signaltest"
)

// TestAskedForTheCode: a person at a terminal says whether the peer sees
// the same code; before, nothing leaves.
func TestAskedForTheCode(t *testing.T) {
	for name, c := range map[string]struct {
		says string
		code exit.Code
		want string
	}{
		"yes":  {"y\n", exit.OK, `held: text=hello`},
		"no":   {"n\n", exit.Negotiation, `was not confirmed`},
		"huh?": {"\n", exit.Negotiation, `was not confirmed`},
	} {
		t.Run(name, func(t *testing.T) {
			server := signaltest.Start(t, &server.Options{})
			echo := atServer(t, server, nil, "echo", "--as", "echo")
			if err := echo.Until("waiting for calls"); err != nil {
				t.Fatal(err)
			}
			keyboard, tty := newTerminal(t)
			p := atServer(t, server, tty, "call", "echo", "--expect-code", "ask", "--say", "hello", "--expect", "text=hello", "--timeout", "60s")
			if err := seen(keyboard, p).Until("y/N"); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(p.Err.String(), "said: hello") {
				t.Errorf("it spoke before it was asked to:\n%s", p.Err)
			}
			if _, err := keyboard.WriteString(c.says); err != nil {
				t.Fatal(err)
			}
			if err := p.Until(c.want); err != nil {
				t.Error(err)
			}
			p.Ends(t, int(c.code))
		})
	}
}

// TestAskedForTheCodeUntilTheCallEnds: the peer hangs up while the question
// is open, and the call ends.
func TestAskedForTheCodeUntilTheCallEnds(t *testing.T) {
	server := signaltest.Start(t, &server.Options{})
	bob := atServer(t, server, nil, "answer", "--as", "bob")
	if err := bob.Until("waiting for calls"); err != nil {
		t.Fatal(err)
	}
	_, tty := newTerminal(t)
	p := atServer(t, server, tty, "call", "bob", "--expect-code", "ask")
	if err := p.Until("connected to bob"); err != nil {
		t.Fatal(err)
	}
	if err := bob.Cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	p.Ends(t, int(exit.OK))
}

func TestWithoutATerminalThereIsNobodyToAsk(t *testing.T) {
	p := atServer(t, "ws://localhost:1", nil, "call", "bob", "--expect-code", "ask")
	p.Says(t, "no terminal to ask at")
	p.Ends(t, int(exit.Device))
}

// atServer runs parley at a signaling server, with tty as its terminal, if any.
func atServer(t *testing.T, server string, tty *os.File, args ...string) *e2etest.Process {
	t.Helper()
	path, err := e2etest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append(args, "--server", server)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if tty != nil {
		cmd.Stdin = tty
		cmd.SysProcAttr.Setctty = true
	}
	p, err := e2etest.StartProcess(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-p.Exited })
	return p
}

// seen is p with what it writes to its terminal, until that is closed, in place of its stdout.
func seen(person *os.File, p *e2etest.Process) *e2etest.Process {
	out := e2etest.NewOutput()
	go func() { _, _ = io.Copy(out, person) }()
	return &e2etest.Process{Cmd: p.Cmd, Out: out, Err: p.Err, Exited: p.Exited}
}

// newTerminal is a terminal, and the hands and eyes in front of it.
func newTerminal(t *testing.T) (person, tty *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = person.Close() })
	raw, err := person.SyscallConn() // Fd would make reading it wait for good
	if err != nil {
		t.Fatal(err)
	}
	var n int
	var unlocked, named error
	if err := raw.Control(func(fd uintptr) {
		unlocked = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0)
		n, named = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
	}); err != nil || unlocked != nil || named != nil {
		t.Fatal(err, unlocked, named)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tty.Close() })
	return person, tty
}
