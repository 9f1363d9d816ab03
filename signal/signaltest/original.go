package signaltest

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// Original runs the Node server that behaves as the original of that dialect does ("call" or
// "relay"), until the test ends, and returns its ws:// address. It needs node and npm, and fails
// the test where they are missing. A hostile message may kill the server, as it does the original;
// OriginalServer reports that.
func Original(t testing.TB, dialect string) (url string) {
	t.Helper()
	return OriginalServer(t, dialect).URL
}

// Node is a running original.
type Node struct {
	// URL is its ws:// address.
	URL string
	// Died is closed when the process has ended.
	Died <-chan struct{}

	mu     sync.Mutex // guards stderr
	stderr bytes.Buffer
}

// Stderr returns what the process has said on its standard error so far.
func (n *Node) Stderr() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stderr.String()
}

// Write implements io.Writer for the process's standard error.
func (n *Node) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stderr.Write(p)
}

// OriginalServer is Original for tests that look at the process too.
func OriginalServer(t testing.TB, dialect string) *Node {
	t.Helper()
	dir, err := install()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", filepath.Join(dir, dialect+".js"), "0")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	node := &Node{}
	cmd.Stderr = node
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting the original %s server (is Node installed?): %v", dialect, err)
	}
	port := 0
	_, scanErr := fmt.Fscanf(bufio.NewReader(stdout), "listening on %d\n", &port)
	died := make(chan struct{})
	go func() {
		defer close(died)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-died
	})
	if scanErr != nil {
		_ = cmd.Process.Kill()
		<-died
		t.Fatalf("the original %s server did not start: %v\n%s", dialect, scanErr, node.Stderr())
	}
	node.URL, node.Died = fmt.Sprintf("ws://127.0.0.1:%d", port), died
	return node
}

// install makes sure that the originals have their module, once for all test processes, and returns
// their folder.
func install() (dir string, err error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		return "", fmt.Errorf("the folder of the original servers is unknown: build the tests without -trimpath")
	}
	dir = filepath.Join(filepath.Dir(file), "..", "testdata", "original")
	lock := lockedfile.MutexAt(filepath.Join(os.TempDir(), fmt.Sprintf("parley-original-servers-%d.lock", os.Getuid())))
	unlock, err := lock.Lock()
	if err != nil {
		return "", fmt.Errorf("waiting for another installation: %w", err)
	}
	defer unlock()
	if installed(dir) {
		return dir, nil
	}
	cmd := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci in %s (are Node and npm installed?): %w\n%s", dir, err, out)
	}
	return dir, nil
}

// installed reports whether the module is there in the version that package.json pins.
func installed(dir string) bool {
	want, err := os.ReadFile(filepath.Join(dir, "package.json"))
	if err != nil {
		return false
	}
	have, err := os.ReadFile(filepath.Join(dir, "node_modules", "ws", "package.json"))
	if err != nil {
		return false
	}
	return strings.Contains(string(want), `"ws": "`+field(have, "version")+`"`)
}

// field returns the value of a member on a line of its own, as npm writes package.json.
func field(file []byte, name string) string {
	_, rest, _ := strings.Cut(string(file), `"`+name+`": "`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}
