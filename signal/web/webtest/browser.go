package webtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"
)

// startTime is how long a browser may take to come up on a busy machine.
const startTime = 90 * time.Second

// Browser is a running browser as one test sees it: what fails in it fails that
// test, and the tabs opened through it close when that test ends.
type Browser struct {
	t testing.TB
	*running
}

// running is a browser's process and the connection to it.
type running struct {
	name   string
	dir    string
	proc   *process
	engine engine
}

// Chromium starts Chromium for this test alone. o may be nil.
func Chromium(t testing.TB, o *Options) *Browser {
	t.Helper()
	return own(t, startChromium, o)
}

// Firefox starts Firefox for this test alone. o may be nil.
func Firefox(t testing.TB, o *Options) *Browser {
	t.Helper()
	return own(t, startFirefox, o)
}

func own(t testing.TB, start func(Options) (*running, error), o *Options) *Browser {
	t.Helper()
	r, err := start(o.clone())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.stop)
	return &Browser{t: t, running: r}
}

// For is the same browser for another test, such as a subtest.
func (b *Browser) For(t testing.TB) *Browser { return &Browser{t: t, running: b.running} }

// Name is "chromium" or "firefox".
func (b *Browser) Name() string { return b.name }

func startChromium(o Options) (*running, error) {
	if o.Media == PendingMedia {
		return nil, errors.New("headless Chromium dismisses a question for the camera at once; use Firefox for PendingMedia")
	}
	binary, err := find("chromium", "chromium", "chromium-browser", "google-chrome")
	if err != nil {
		return nil, err
	}
	args := func(dir string) ([]string, error) { return chromiumArgs(dir, o), nil }
	connect := func(ctx context.Context, url string) (engine, error) { return openDevtools(ctx, url, o) }
	return launch("chromium", binary, args, regexp.MustCompile(`DevTools listening on (ws://\S+)`), connect)
}

func startFirefox(o Options) (*running, error) {
	binary, err := find("firefox-esr", "firefox-esr", "firefox")
	if err != nil {
		return nil, err
	}
	args := func(dir string) ([]string, error) { return firefoxArgs(dir, o) }
	connect := func(ctx context.Context, url string) (engine, error) { return openBidi(ctx, url) }
	return launch("firefox", binary, args, regexp.MustCompile(`WebDriver BiDi listening on (ws://\S+)`), connect)
}

func find(pkg string, names ...string) (string, error) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no %s on this machine; install it with: apt-get install %s", names[0], pkg)
}

// launch starts the browser, waits until it says where it listens, and connects.
func launch(name, binary string, args func(dir string) ([]string, error), listening *regexp.Regexp,
	connect func(context.Context, string) (engine, error)) (*running, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	dir, err := os.MkdirTemp("", "webtest-"+name+"-")
	if err != nil {
		return nil, err
	}
	r := &running{name: name, dir: dir}
	line, err := args(dir)
	if err == nil {
		r.proc, err = start(dir, binary, line...)
	}
	var url string
	if err == nil {
		url, err = r.proc.find(ctx, listening)
	}
	if err == nil {
		r.engine, err = connect(ctx, url)
	}
	if err != nil {
		r.stop()
		return nil, fmt.Errorf("%s did not start: %w", name, err)
	}
	return r, nil
}

func (r *running) stop() {
	if r.engine != nil {
		r.engine.close()
	}
	if r.proc != nil {
		r.proc.stop()
	}
	_ = os.RemoveAll(r.dir)
}
