package webtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a tab waits for anything on a busy machine.
const patience = 45 * time.Second

// Tab is one page in a window, storage and cookies of its own. Its methods fail
// the test when the browser does not do what they ask, and so must be called from
// the test's goroutine, except for Eval and Until, which return errors.
type Tab struct {
	t       testing.TB
	browser *Browser
	page    page
	log     console
	closing sync.Once
}

// NewTab opens an empty tab: for [Tab.Preload] and [Tab.Resize] before [Tab.Go].
func (b *Browser) NewTab() *Tab {
	b.t.Helper()
	tab := &Tab{t: b.t, browser: b}
	ctx, cancel := tab.context()
	defer cancel()
	var err error
	if tab.page, err = b.engine.newPage(ctx, &tab.log); err != nil {
		b.t.Fatalf("%s: cannot open a tab: %v\n%s", b.name, err, b.proc.lastWords())
	}
	b.t.Cleanup(tab.Close)
	tab.Preload(reportViolations)
	return tab
}

// Open opens a tab with a page and waits until it is loaded.
func (b *Browser) Open(url string) *Tab {
	b.t.Helper()
	tab := b.NewTab()
	tab.Go(url)
	return tab
}

// Preload has js run in every later document of the tab, before its own scripts.
func (tab *Tab) Preload(js string) {
	tab.t.Helper()
	tab.must("preload a script", func(ctx context.Context) error { return tab.page.preload(ctx, js) })
}

// Go loads url and waits for its load event.
func (tab *Tab) Go(url string) {
	tab.t.Helper()
	tab.must("open "+url, func(ctx context.Context) error { return tab.page.navigate(ctx, url) })
}

// Reload loads the page anew and waits for its load event.
func (tab *Tab) Reload() {
	tab.t.Helper()
	tab.must("reload", tab.page.reload)
}

// Resize sets the size of the viewport in CSS pixels; phone also makes Chromium
// behave as on a touch screen with two device pixels to each.
func (tab *Tab) Resize(width, height int, phone bool) {
	tab.t.Helper()
	tab.must("resize", func(ctx context.Context) error { return tab.page.resize(ctx, width, height, phone) })
}

// Close closes the tab, as a person would. It happens by itself when the test
// ends; twice does no harm.
func (tab *Tab) Close() {
	tab.closing.Do(func() {
		ctx, cancel := tab.context()
		defer cancel()
		if err := tab.page.close(ctx); err != nil {
			tab.t.Logf("closing a tab: %v", err)
		}
	})
}

// Eval evaluates a JavaScript expression, awaits it if it is a promise, and
// stores the value in out as encoding/json does. out may be nil.
func (tab *Tab) Eval(js string, out any) error {
	ctx, cancel := tab.context()
	defer cancel()
	return tab.eval(ctx, js, out)
}

func (tab *Tab) eval(ctx context.Context, js string, out any) error {
	text, err := tab.page.eval(ctx, `(async () => JSON.stringify((await (`+js+"\n)) ?? null))()")
	if err != nil {
		return fmt.Errorf("%s: evaluate %s: %w", tab.browser.name, short(js), err)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal([]byte(text), out); err != nil {
		return fmt.Errorf("%s: evaluate %s: cannot use %s: %w", tab.browser.name, short(js), short(text), err)
	}
	return nil
}

// Text is the visible text of the first element that matches the selector.
func (tab *Tab) Text(selector string) string {
	tab.t.Helper()
	var s string
	if err := tab.Eval("document.querySelector("+quote(selector)+")?.innerText ?? ''", &s); err != nil {
		tab.Fatalf("%v", err)
	}
	return s
}

// Console is what the page has written and what the browser has said about it.
func (tab *Tab) Console() []string {
	lines, _ := tab.log.all()
	return lines
}

// NoErrors fails the test if the page threw, logged an error, opened a dialog, broke
// its content security policy or failed to load something. Errors that contain one
// of the allowed strings don't count.
func (tab *Tab) NoErrors(allowed ...string) {
	tab.t.Helper()
	// What has gone wrong by now has been reported before this is answered.
	if err := tab.Eval(`new Promise(resolve => setTimeout(resolve))`, nil); err != nil {
		tab.t.Errorf("%v", err)
	}
	_, list := tab.log.all()
next:
	for _, e := range list {
		for _, a := range allowed {
			if strings.Contains(e, a) {
				continue next
			}
		}
		tab.t.Errorf("%s: error on the page: %s", tab.browser.name, e)
	}
}

// Screenshot writes a PNG of what is to be seen.
func (tab *Tab) Screenshot(file string) {
	tab.t.Helper()
	tab.must("take a screenshot", func(ctx context.Context) error { return tab.shoot(ctx, file) })
}

func (tab *Tab) shoot(ctx context.Context, file string) error {
	png, err := tab.page.screenshot(ctx)
	if err != nil {
		return err
	}
	return os.WriteFile(file, png, 0o600)
}

// Fatalf ends the test and adds what is known about the tab: its console and
// a screenshot in $WEBTEST_DIR, or the folder for temporary files without it.
func (tab *Tab) Fatalf(format string, args ...any) {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	dir := os.Getenv("WEBTEST_DIR")
	if dir == "" {
		dir = os.TempDir()
	}
	name := regexp.MustCompile(`[^A-Za-z0-9_-]+`).ReplaceAllString(tab.t.Name(), "-")
	file := filepath.Join(dir, "webtest-"+name+"-"+tab.browser.name+".png")
	seen := "screenshot: " + file
	if err := tab.shoot(ctx, file); err != nil {
		seen = "no screenshot: " + err.Error()
	}
	tab.t.Fatalf("%s: %s\n%s\nconsole:\n\t%s", tab.browser.name, fmt.Sprintf(format, args...), seen,
		strings.Join(tab.Console(), "\n\t"))
}

func (tab *Tab) must(what string, do func(context.Context) error) {
	tab.t.Helper()
	ctx, cancel := tab.context()
	defer cancel()
	if err := do(ctx); err != nil {
		tab.Fatalf("cannot %s: %v", what, err)
	}
}

func (tab *Tab) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

// quote makes a JavaScript string literal.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always marshals
	}
	return string(b)
}

func short(s string) string {
	const most = 200
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > most {
		s = s[:most] + "…"
	}
	return s
}

// gone reports whether a script ended because its document was left.
func gone(err error) bool {
	var refused *callError
	return errors.As(err, &refused)
}
