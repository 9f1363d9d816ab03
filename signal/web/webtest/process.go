package webtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"
)

// guard runs the browser in a process group of its own and kills the group when
// its standard input ends: when stop closes it, and also when the test process
// dies without cleaning up, as it does after `go test -timeout`. It lets go of
// standard error so that its end is the end of the browser.
const guard = `"$@" </dev/null & exec 2>/dev/null; read -r _; kill -KILL 0`

const tailLines = 60

// process is a browser's process group and the end of what it wrote to stderr.
type process struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stderr *os.File
	ended  chan struct{} // closed at the end of stderr

	mu      sync.Mutex // guards what follows
	tail    []string
	changed chan struct{} // closed and replaced when a line arrives
}

func start(dir, binary string, args ...string) (*process, error) {
	cmd := exec.Command("sh", append([]string{"-c", guard, "sh", binary}, args...)...)
	ownGroup(cmd)
	// Whatever a browser writes to a home or keeps for a while lands in the profile's folder.
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_CACHE_HOME="+dir, "TMPDIR="+dir,
		"MOZ_CRASHREPORTER_DISABLE=1", "DBUS_SESSION_BUS_ADDRESS=disabled:")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = w
	err = cmd.Start()
	_ = w.Close()
	if err != nil {
		_ = r.Close()
		return nil, fmt.Errorf("cannot start %s: %w", binary, err)
	}
	p := &process{cmd: cmd, stdin: stdin, stderr: r, ended: make(chan struct{}), changed: make(chan struct{})}
	go p.read()
	return p, nil
}

func (p *process) read() {
	defer close(p.ended)
	lines := bufio.NewReaderSize(p.stderr, 1<<16)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			p.keep(strings.TrimSpace(line))
		}
		if err != nil {
			return
		}
	}
}

func (p *process) keep(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tail = append(p.tail, line)
	if len(p.tail) > tailLines {
		p.tail = p.tail[1:]
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

// find waits for a line that matches and returns its first group.
func (p *process) find(ctx context.Context, pattern *regexp.Regexp) (string, error) {
	for {
		p.mu.Lock()
		lines, changed := p.tail, p.changed
		p.mu.Unlock()
		for _, line := range lines {
			if m := pattern.FindStringSubmatch(line); m != nil {
				return m[1], nil
			}
		}
		select {
		case <-changed:
		case <-p.ended:
			return "", errors.New("it ended at once; its last words:\n" + p.lastWords())
		case <-ctx.Done():
			return "", fmt.Errorf("%w while it started; its last words:\n%s", ctx.Err(), p.lastWords())
		}
	}
}

func (p *process) lastWords() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.tail, "\n")
}

// stop kills the group and waits for all of it: standard error ends when the
// last process that holds it is gone.
func (p *process) stop() {
	_ = p.stdin.Close()
	_ = p.cmd.Wait() // always "killed"
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
	}
	_ = p.stderr.Close()
	<-p.ended
}
