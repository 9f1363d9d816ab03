package terminal

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/signal/signaltest"
)

// outputTo starts a parley whose standard output is f.
func outputTo(t *testing.T, f *os.File, args ...string) *e2etest.Process {
	t.Helper()
	path, err := e2etest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Stdout = f
	p, err := e2etest.StartProcess(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-p.Exited })
	return p
}

// A call on a full disk goes on, and the command ends with 1.
func TestFullOutput(t *testing.T) {
	server := signaltest.Start(t, nil)
	echo := outputTo(t, nil, "echo", "--server", server)
	if err := echo.Until("waiting for calls"); err != nil {
		t.Fatal(err)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for _, output := range []string{"human", "ndjson"} {
		p := outputTo(t, full, "call", "echo", "--server", server, "--say", "hi", "--expect", "text=hi", "--output", output)
		if code, err := p.Wait(); code != 1 || err != nil || !strings.Contains(p.Err.String(), "no space left on device") {
			t.Errorf("--output %s: exit code %d, want 1; %v\n%s", output, code, err, p.Err)
		}
	}
}

// Calls go on while the reader of the events stalls.
func TestStalledOutput(t *testing.T) {
	server := signaltest.Start(t, nil)
	reader, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	size, err := unix.FcntlInt(out.Fd(), unix.F_SETPIPE_SZ, 4096)
	if err != nil {
		t.Fatal(err)
	}
	const before = "x"
	if _, err := out.WriteString(strings.Repeat(before, size)); err != nil { // nothing more fits
		t.Fatal(err)
	}
	p := outputTo(t, out, "answer", "--as", "bob", "--server", server, "--output", "ndjson", "--stats-interval", "10ms")
	_ = out.Close()
	const absent = 12 // until it has logged in, which it cannot report
	for calls, begun := 0, time.Now(); calls < 2; {
		call := outputTo(t, nil, "call", "bob", "--server", server, "--expect", "connected", "--timeout", "20s")
		switch code, err := call.Wait(); {
		case err != nil, code != 0 && code != absent, time.Since(begun) > e2etest.Patience:
			t.Fatalf("call %d: exit code %d, %v\n%s", calls, code, err, call.Err)
		case code == 0:
			calls++
		}
	}
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	if _, err := bufio.NewReader(reader).WriteTo(&all); err != nil {
		t.Fatal(err)
	}
	if code, err := p.Wait(); code != 130 || err != nil {
		t.Errorf("exit code %d, want 130; %v\n%s", code, err, p.Err)
	}
	events, err := e2etest.ReadEvents(strings.TrimLeft(all.String(), before))
	if err != nil {
		t.Fatal(err)
	}
	ends := 0
	for _, e := range events {
		if e["event"] == "end" {
			ends++
		}
	}
	if ends != 2 {
		t.Errorf("the events have the end of %d calls, want 2", ends)
	}
}
