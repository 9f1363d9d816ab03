//go:build !quick

package webtest_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"parley/signal/web/webtest"
)

func TestInput(t *testing.T) {
	url := serve(t)
	each(t, nil, func(t *testing.T, b *webtest.Browser) {
		tab := b.Open(url + "/form")
		tab.Type("#field", "hällo <b>") // in place of what was there; it enables the button
		tab.Press(webtest.Enter)
		tab.Wait(`said.textContent === 'entered hällo <b>'`)
		tab.Click("#go")
		tab.Wait(`said.textContent === 'clicked hällo <b>'`)
		if got := tab.Text("#said"); got != "clicked hällo <b>" {
			t.Errorf("Text: %q", got)
		}
		tab.DoubleClick("#go")
		tab.Wait(`said.textContent === 'clicked hällo <b> 2 times'`)
		tab.Press(webtest.Space) // the button has the focus
		tab.NoErrors()
		tab.Reload()
		tab.Wait(`said.textContent === ''`)
	})
}

func TestEval(t *testing.T) {
	url := serve(t)
	each(t, nil, func(t *testing.T, b *webtest.Browser) {
		tab := b.Open(url + "/fine") // its policy forbids scripts in the page, not ours
		var v struct {
			N    int
			List []string
		}
		if err := tab.Eval(`Promise.resolve({n: 6 * 7, list: ['a', 'ü']})`, &v); err != nil || v.N != 42 || strings.Join(v.List, "") != "aü" {
			t.Errorf("Eval: %+v, %v", v, err)
		}
		if err := tab.Eval(`undefined`, nil); err != nil {
			t.Error(err)
		}
		for js, want := range map[string]string{`nowhere.to`: "nowhere", `Promise.reject(new Error('no'))`: "no", `7 7`: "SyntaxError"} {
			if err := tab.Eval(js, nil); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want one with %q", js, err, want)
			}
		}
		if err := tab.Eval(`'text'`, &v.N); err == nil {
			t.Error("a text became a number")
		}
	})
}

func TestWait(t *testing.T) {
	url := serve(t)
	each(t, nil, func(t *testing.T, b *webtest.Browser) {
		tab := b.Open(url + "/form")
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		defer cancel()
		if err := tab.Until(ctx, `document.title === 'nobody'`); err == nil || !strings.Contains(err.Error(), "nobody") {
			t.Errorf("waited for what never comes: %v", err)
		}
		// What comes while it waits, and in the next document.
		if err := tab.Eval(`void setTimeout(() => { document.title = 'later'; })`, nil); err != nil {
			t.Fatal(err)
		}
		tab.Wait(`document.title === 'later'`)
		if err := tab.Eval(`void setTimeout(() => { location.href = '/fine'; }, 50)`, nil); err != nil {
			t.Fatal(err)
		}
		tab.Wait(`document.title === 'fine'`)
	})
}

func TestPageErrors(t *testing.T) {
	url := serve(t)
	each(t, nil, func(t *testing.T, b *webtest.Browser) {
		for path, want := range map[string]string{
			"/throws": "on purpose", "/rejects": "on purpose", "/alert": "dialog: alert: on purpose",
			"/policy": "content security policy: script-src-elem blocked inline", "/fine": "",
		} {
			spy := &spy{TB: t}
			tab := b.For(spy).Open(url + path)
			if path == "/alert" {
				tab.Wait(`document.title === 'after'`) // somebody has dismissed it
			}
			tab.NoErrors()
			if got := strings.Join(spy.errors, "\n"); !strings.Contains(got, want) || (want == "") != (got == "") {
				t.Errorf("%s: NoErrors says %q, want %q", path, got, want)
			}
			spy.errors = nil
			tab.NoErrors("on purpose", "olicy", "favicon")
			if len(spy.errors) > 0 {
				t.Errorf("%s: allowed, and reported all the same: %q", path, spy.errors)
			}
		}
	})
}

func TestTabsAreApart(t *testing.T) {
	url := serve(t)
	each(t, nil, func(t *testing.T, b *webtest.Browser) {
		first, second := b.Open(url+"/fine"), b.NewTab()
		second.Preload(`window.preloaded = localStorage.getItem('key');`)
		if err := first.Eval(`localStorage.setItem('key', 'mine')`, nil); err != nil {
			t.Fatal(err)
		}
		second.Go(url + "/fine")
		second.Wait(`window.preloaded === null`)
		for _, tab := range []*webtest.Tab{first, second} {
			tab.Wait(`document.visibilityState === 'visible'`)
		}
	})
}

func TestScreenshotAndSize(t *testing.T) {
	url := serve(t)
	each(t, nil, func(t *testing.T, b *webtest.Browser) {
		tab := b.Open(url + "/form")
		tab.Resize(390, 844, true)
		tab.Wait(`innerWidth === 390 || innerWidth === 980`) // 980: a phone's page without a viewport of its own
		file := filepath.Join(t.TempDir(), "shot.png")
		tab.Screenshot(file)
		if png, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(png), "\x89PNG") {
			t.Errorf("no PNG: %v", err)
		}
	})
}

func TestOptions(t *testing.T) {
	url := serve(t)
	each(t, &webtest.Options{Dark: true, ReducedMotion: true, Media: webtest.DeniedMedia}, func(t *testing.T, b *webtest.Browser) {
		tab := b.Open(url + "/form")
		tab.Wait(`matchMedia('(prefers-color-scheme: dark)').matches && matchMedia('(prefers-reduced-motion: reduce)').matches`)
		tab.Wait(`navigator.mediaDevices.getUserMedia({video: true}).then(() => false, e => e.name === 'NotAllowedError')`)
	})
	each(t, &webtest.Options{Media: webtest.NoMedia}, func(t *testing.T, b *webtest.Browser) {
		tab := b.Open(url + "/form")
		tab.Wait(`navigator.mediaDevices.getUserMedia({video: true}).then(() => false, e => e.name === 'NotFoundError')`)
		tab.Wait(`matchMedia('(prefers-color-scheme: light)').matches`)
	})
	t.Run("firefox, pending", func(t *testing.T) {
		tab := browsers.Firefox(t, &webtest.Options{Media: webtest.PendingMedia}).Open(url + "/form")
		tab.Wait(`Promise.race([navigator.mediaDevices.getUserMedia({video: true}).then(() => false, () => false),
			new Promise(resolve => setTimeout(resolve, 1000, true))])`)
	})
}

// What cannot be done fails the test, with what is known.
func TestFailures(t *testing.T) {
	url := serve(t)
	t.Setenv("WEBTEST_DIR", t.TempDir())
	each(t, nil, func(t *testing.T, b *webtest.Browser) {
		spy := &spy{TB: t}
		spy.run(func() { b.For(spy).Open("http://127.0.0.1:1/") })
		if len(spy.errors) != 1 || !strings.Contains(spy.errors[0], "127.0.0.1:1") {
			t.Errorf("a page that cannot be reached: %q", spy.errors)
		}
		spy.errors = nil
		spy.run(func() {
			tab := b.For(spy).Open(url + "/form")
			if err := tab.Eval(`console.log('a word before')`, nil); err != nil {
				t.Error(err)
			}
			tab.Video("#nothing")
		})
		if len(spy.errors) != 1 || !strings.Contains(spy.errors[0], "no element #nothing") || !strings.Contains(spy.errors[0], "a word before") {
			t.Errorf("an element that is not there: %q", spy.errors)
		}
	})
	if shots, err := filepath.Glob(filepath.Join(os.Getenv("WEBTEST_DIR"), "*.png")); err != nil || len(shots) != 2 {
		t.Errorf("screenshots: %v, %v", shots, err)
	}
}

func TestMissingBrowser(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	spy := &spy{TB: t}
	spy.run(func() { webtest.Chromium(spy, nil) })
	spy.run(func() { webtest.Firefox(spy, nil) })
	if got := strings.Join(spy.errors, "\n"); !strings.Contains(got, "apt-get install chromium") || !strings.Contains(got, "apt-get install firefox-esr") {
		t.Errorf("%q", got)
	}
}

func TestDeadBrowser(t *testing.T) {
	spy := &spy{TB: t}
	spy.run(func() { webtest.Firefox(spy, &webtest.Options{Args: []string{"--version"}}) })
	if len(spy.errors) != 1 || !strings.Contains(spy.errors[0], "ended at once") {
		t.Errorf("a browser that ends at once: %q", spy.errors)
	}
}
