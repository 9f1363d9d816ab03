package webtest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// chromiumArgs, beside what Options ask for. Tabs lie in windows behind one
// another: none may be put to sleep for that.
func chromiumArgs(dir string, o Options) []string {
	args := []string{
		"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--user-data-dir=" + dir,
		"--no-first-run", "--no-default-browser-check", "--disable-extensions", "--disable-sync", "--disable-component-update",
		"--disable-background-networking", "--disable-domain-reliability", "--disable-client-side-phishing-detection",
		"--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding",
		"--password-store=basic", "--mute-audio", "--remote-debugging-port=0",
		"--autoplay-policy=no-user-gesture-required", "--window-size=1280,800",
	}
	switch o.Media {
	case FakeMedia:
		args = append(args, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
	case DeniedMedia:
		args = append(args, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream=deny")
	case NoMedia:
		args = append(args, "--use-fake-ui-for-media-stream")
	}
	if o.ShowAddresses {
		args = append(args, "--disable-features=WebRtcHideLocalIpsWithMdns")
	}
	return append(append(args, o.Args...), "about:blank")
}

// devtools is Chromium by the Chrome DevTools Protocol.
type devtools struct {
	*conn
	options Options

	mu    sync.Mutex // guards what follows
	pages map[string]*devtoolsPage
}

func openDevtools(ctx context.Context, url string, o Options) (*devtools, error) {
	d := &devtools{options: o, pages: map[string]*devtoolsPage{}}
	var err error
	d.conn, err = dial(ctx, url, d.event)
	return d, err
}

func (d *devtools) newPage(ctx context.Context, log *console) (page, error) {
	var made struct{ BrowserContextID, TargetID, SessionID string }
	p := &devtoolsPage{browser: d, log: log, loaded: make(chan string, 64)}
	if err := d.call(ctx, "", "Target.createBrowserContext", nil, &made); err != nil {
		return nil, err
	}
	p.context = made.BrowserContextID
	target := map[string]any{"url": "about:blank", "browserContextId": p.context}
	if err := d.call(ctx, "", "Target.createTarget", target, &made); err != nil {
		return nil, err
	}
	p.target = made.TargetID
	if err := d.call(ctx, "", "Target.attachToTarget", map[string]any{"targetId": p.target, "flatten": true}, &made); err != nil {
		return nil, err
	}
	p.session = made.SessionID
	d.mu.Lock()
	d.pages[p.session] = p
	d.mu.Unlock()
	return p, p.enable(ctx)
}

// event sorts what the browser reports by page.
func (d *devtools) event(f frame) {
	d.mu.Lock()
	p := d.pages[f.SessionID]
	d.mu.Unlock()
	if p != nil {
		p.event(f)
	}
}

type devtoolsPage struct {
	browser                  *devtools
	context, target, session string
	log                      *console
	loaded                   chan string // loader ids of documents that have loaded
}

func (p *devtoolsPage) do(ctx context.Context, method string, params, result any) error {
	return p.browser.call(ctx, p.session, method, params, result)
}

func (p *devtoolsPage) enable(ctx context.Context) error {
	features := []map[string]string{}
	if p.browser.options.Dark {
		features = append(features, map[string]string{"name": "prefers-color-scheme", "value": "dark"})
	}
	if p.browser.options.ReducedMotion {
		features = append(features, map[string]string{"name": "prefers-reduced-motion", "value": "reduce"})
	}
	for _, call := range []struct {
		method string
		params any
	}{
		{"Page.enable", nil}, {"Runtime.enable", nil}, {"Log.enable", nil},
		{"Page.setLifecycleEventsEnabled", map[string]any{"enabled": true}},
		{"Emulation.setEmulatedMedia", map[string]any{"features": features}},
	} {
		if err := p.do(ctx, call.method, call.params, nil); err != nil {
			return err
		}
	}
	return nil
}

func (p *devtoolsPage) preload(ctx context.Context, js string) error {
	return p.do(ctx, "Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": js}, nil)
}

func (p *devtoolsPage) navigate(ctx context.Context, url string) error {
	var r struct{ LoaderID, ErrorText string }
	if err := p.do(ctx, "Page.navigate", map[string]any{"url": url}, &r); err != nil {
		return err
	}
	if r.ErrorText != "" {
		return fmt.Errorf("cannot open %s: %s", url, r.ErrorText)
	}
	for {
		select {
		case id := <-p.loaded:
			if id == r.LoaderID {
				return nil
			}
		case <-ctx.Done():
			return fmt.Errorf("%s did not load: %w", url, ctx.Err())
		}
	}
}

func (p *devtoolsPage) reload(ctx context.Context) error {
	var tree struct {
		FrameTree struct{ Frame struct{ LoaderID string } }
	}
	if err := p.do(ctx, "Page.getFrameTree", nil, &tree); err != nil {
		return err
	}
	if err := p.do(ctx, "Page.reload", nil, nil); err != nil {
		return err
	}
	for {
		select {
		case id := <-p.loaded:
			if id != tree.FrameTree.Frame.LoaderID {
				return nil
			}
		case <-ctx.Done():
			return fmt.Errorf("the page did not load again: %w", ctx.Err())
		}
	}
}

func (p *devtoolsPage) eval(ctx context.Context, expression string) (string, error) {
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *exception
	}
	params := map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true}
	if err := p.do(ctx, "Runtime.evaluate", params, &r); err != nil {
		return "", err
	}
	if r.ExceptionDetails != nil {
		return "", errors.New(r.ExceptionDetails.text())
	}
	var s string
	err := json.Unmarshal(r.Result.Value, &s)
	return s, err
}

func (p *devtoolsPage) click(ctx context.Context, x, y float64, times int) error {
	for n := 1; n <= times; n++ {
		for _, kind := range []string{"mouseMoved", "mousePressed", "mouseReleased"} {
			params := map[string]any{"type": kind, "x": x, "y": y, "button": "left", "clickCount": n}
			if err := p.do(ctx, "Input.dispatchMouseEvent", params, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *devtoolsPage) insert(ctx context.Context, text string) error {
	return p.do(ctx, "Input.insertText", map[string]any{"text": text}, nil)
}

func (p *devtoolsPage) press(ctx context.Context, key Key) error {
	modifiers := 0
	if key == ShiftTab {
		key, modifiers = TabKey, 8
	}
	code := map[Key]int{Enter: 13, TabKey: 9, Escape: 27, Space: 32}[key]
	text := map[Key]string{Enter: "\r", Space: " "}[key]
	if len(key) == 1 && key != Space {
		code, text = int(strings.ToUpper(string(key))[0]), string(key)
	}
	for _, kind := range []string{"keyDown", "keyUp"} {
		params := map[string]any{"type": kind, "key": string(key), "code": string(key), "windowsVirtualKeyCode": code, "modifiers": modifiers}
		if key == Space {
			params["code"] = "Space"
		}
		if kind == "keyDown" && text != "" {
			params["text"] = text
		}
		if err := p.do(ctx, "Input.dispatchKeyEvent", params, nil); err != nil {
			return err
		}
	}
	return nil
}

func (p *devtoolsPage) resize(ctx context.Context, width, height int, phone bool) error {
	scale := 1
	if phone {
		scale = 2
	}
	params := map[string]any{"width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone}
	return p.do(ctx, "Emulation.setDeviceMetricsOverride", params, nil)
}

func (p *devtoolsPage) screenshot(ctx context.Context) ([]byte, error) {
	var r struct{ Data string }
	if err := p.do(ctx, "Page.captureScreenshot", map[string]any{"format": "png"}, &r); err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(r.Data)
}

func (p *devtoolsPage) close(ctx context.Context) error {
	d := p.browser
	d.mu.Lock()
	delete(d.pages, p.session)
	d.mu.Unlock()
	err := d.call(ctx, "", "Target.closeTarget", map[string]any{"targetId": p.target}, nil)
	return errors.Join(err, d.call(ctx, "", "Target.disposeBrowserContext", map[string]any{"browserContextId": p.context}, nil))
}

// exception is Runtime.ExceptionDetails.
type exception struct {
	Text       string
	URL        string
	LineNumber int
	Exception  struct {
		Description string
		Value       json.RawMessage
	}
}

func (e *exception) text() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s%s (%s:%d)", e.Text, e.Exception.Description, e.Exception.Value, e.URL, e.LineNumber+1))
}
