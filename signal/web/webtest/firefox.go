package webtest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// firefoxPrefs, beside what Options ask for: no first run, no network of its
// own, streams from nowhere, and calls on one machine.
func firefoxPrefs(o Options) map[string]any {
	prefs := map[string]any{
		"app.normandy.enabled":                       false,
		"app.update.disabledForTesting":              true,
		"browser.aboutwelcome.enabled":               false,
		"browser.safebrowsing.update.enabled":        false,
		"browser.shell.checkDefaultBrowser":          false,
		"browser.startup.homepage_override.mstone":   "ignore",
		"browser.startup.page":                       0,
		"browser.tabs.warnOnClose":                   false,
		"browser.topsites.contile.enabled":           false,
		"datareporting.policy.dataSubmissionEnabled": false,
		"dom.disable_open_during_load":               false,
		"dom.min_background_timeout_value":           4, // tabs in the background keep their timers
		"dom.timeout.enable_budget_timer_throttling": false,
		"extensions.update.enabled":                  false,
		"media.autoplay.blocking_policy":             0,
		"media.autoplay.default":                     0,
		"media.gmp-manager.updateEnabled":            false,
		"media.navigator.audio.fake_frequency":       440,
		"media.peerconnection.ice.loopback":          true,
		"network.captive-portal-service.enabled":     false,
		"network.connectivity-service.enabled":       false,
		"remote.prefs.recommended":                   true,
		"services.settings.server":                   "data:,",
		"toolkit.telemetry.enabled":                  false,
		"toolkit.telemetry.server":                   "data:,",
		"ui.prefersReducedMotion":                    0,
		"ui.systemUsesDarkTheme":                     0,
	}
	switch o.Media {
	case FakeMedia:
		prefs["media.navigator.permission.disabled"] = true
		prefs["media.navigator.streams.fake"] = true
	case DeniedMedia:
		prefs["media.navigator.streams.fake"] = true
		prefs["permissions.default.camera"] = 2
		prefs["permissions.default.microphone"] = 2
	case PendingMedia:
		prefs["media.navigator.streams.fake"] = true
	case NoMedia:
		prefs["media.navigator.permission.disabled"] = true
	}
	if o.ShowAddresses {
		prefs["media.peerconnection.ice.obfuscate_host_addresses"] = false
	}
	if o.Dark {
		prefs["ui.systemUsesDarkTheme"] = 1
		prefs["layout.css.prefers-color-scheme.content-override"] = 0
	}
	if o.ReducedMotion {
		prefs["ui.prefersReducedMotion"] = 1
	}
	for name, value := range o.Prefs {
		prefs[name] = value
	}
	return prefs
}

// firefoxArgs writes the profile's preferences and returns the command line.
func firefoxArgs(dir string, o Options) ([]string, error) {
	var lines []string
	for name, value := range firefoxPrefs(o) {
		v, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("preference %s: %w", name, err)
		}
		lines = append(lines, fmt.Sprintf("user_pref(%q, %s);\n", name, v))
	}
	slices.Sort(lines)
	if err := os.WriteFile(filepath.Join(dir, "user.js"), []byte(strings.Join(lines, "")), 0o600); err != nil {
		return nil, err
	}
	return append([]string{"--headless", "--no-remote", "--new-instance", "--profile", dir,
		"--remote-debugging-port", "0"}, o.Args...), nil
}

// bidi is Firefox by WebDriver BiDi.
type bidi struct {
	*conn

	mu    sync.Mutex // guards what follows
	pages map[string]*bidiPage
}

func openBidi(ctx context.Context, url string) (*bidi, error) {
	b := &bidi{pages: map[string]*bidiPage{}}
	var err error
	if b.conn, err = dial(ctx, url+"/session", b.event); err != nil {
		return nil, err
	}
	if err = b.call(ctx, "", "session.new", map[string]any{"capabilities": map[string]any{}}, nil); err == nil {
		err = b.call(ctx, "", "session.subscribe", map[string]any{"events": []string{"log.entryAdded", "browsingContext.userPromptOpened"}}, nil)
	}
	if err != nil {
		b.close()
	}
	return b, err
}

func (b *bidi) event(f frame) {
	var e struct {
		Type, Level, Text string
		Source            struct{ Context string }
		Context, Message  string // of a dialog
	}
	if json.Unmarshal(f.Params, &e) != nil {
		return
	}
	b.mu.Lock()
	p := b.pages[e.Source.Context+e.Context] // one of them is empty
	b.mu.Unlock()
	switch {
	case p == nil:
	case f.Method == "log.entryAdded":
		p.log.add(e.Level == "error", e.Type+" "+e.Level+": "+e.Text)
	case f.Method == "browsingContext.userPromptOpened":
		p.log.add(true, "dialog: "+e.Type+": "+e.Message) // Firefox dismisses it by itself
	}
}

func (b *bidi) newPage(ctx context.Context, log *console) (page, error) {
	var made struct{ UserContext, Context string }
	p := &bidiPage{browser: b, log: log}
	if err := b.call(ctx, "", "browser.createUserContext", nil, &made); err != nil {
		return nil, err
	}
	p.user = made.UserContext
	// A window each: a tab behind another one would be hidden and slowed down.
	window := map[string]any{"type": "window", "userContext": p.user}
	if err := b.call(ctx, "", "browsingContext.create", window, &made); err != nil {
		return nil, err
	}
	p.context = made.Context
	b.mu.Lock()
	b.pages[p.context] = p
	b.mu.Unlock()
	return p, nil
}

type bidiPage struct {
	browser       *bidi
	user, context string
	log           *console
}

func (p *bidiPage) do(ctx context.Context, method string, params map[string]any, result any) error {
	params["context"] = p.context
	return p.browser.call(ctx, "", method, params, result)
}

func (p *bidiPage) preload(ctx context.Context, js string) error {
	params := map[string]any{"functionDeclaration": "() => {" + js + "\n}", "contexts": []string{p.context}}
	return p.browser.call(ctx, "", "script.addPreloadScript", params, nil)
}

func (p *bidiPage) navigate(ctx context.Context, url string) error {
	return p.do(ctx, "browsingContext.navigate", map[string]any{"url": url, "wait": "complete"}, nil)
}

func (p *bidiPage) reload(ctx context.Context) error {
	return p.do(ctx, "browsingContext.reload", map[string]any{"wait": "complete"}, nil)
}

func (p *bidiPage) eval(ctx context.Context, expression string) (string, error) {
	var r struct {
		Type             string
		Result           struct{ Value string }
		ExceptionDetails struct{ Text string }
	}
	params := map[string]any{"expression": expression, "target": map[string]any{"context": p.context},
		"awaitPromise": true, "userActivation": true}
	if err := p.browser.call(ctx, "", "script.evaluate", params, &r); err != nil {
		return "", err
	}
	if r.Type == "exception" {
		return "", errors.New(r.ExceptionDetails.Text)
	}
	return r.Result.Value, nil
}

func (p *bidiPage) perform(ctx context.Context, source map[string]any) error {
	return p.do(ctx, "input.performActions", map[string]any{"actions": []any{source}}, nil)
}

func (p *bidiPage) click(ctx context.Context, x, y float64, times int) error {
	actions := []any{map[string]any{"type": "pointerMove", "x": int(x), "y": int(y)}}
	for range times {
		actions = append(actions, map[string]any{"type": "pointerDown", "button": 0}, map[string]any{"type": "pointerUp", "button": 0})
	}
	return p.perform(ctx, map[string]any{"type": "pointer", "id": "mouse", "actions": actions})
}

// insert types rune by rune. A window behind another one gets the keys, but Firefox
// does not press a button there.
func (p *bidiPage) insert(ctx context.Context, text string) error {
	if err := p.do(ctx, "browsingContext.activate", map[string]any{}, nil); err != nil {
		return err
	}
	var actions []any
	for _, r := range text {
		actions = append(actions, map[string]any{"type": "keyDown", "value": string(r)}, map[string]any{"type": "keyUp", "value": string(r)})
	}
	return p.perform(ctx, map[string]any{"type": "key", "id": "keyboard", "actions": actions})
}

func (p *bidiPage) press(ctx context.Context, key Key) error {
	// WebDriver's code points for keys without a character.
	code, ok := map[Key]string{Enter: "\ue007", TabKey: "\ue004", Escape: "\ue00c"}[key]
	if !ok {
		code = string(key)
	}
	if key == ShiftTab {
		return p.perform(ctx, map[string]any{"type": "key", "id": "keyboard", "actions": []any{
			map[string]any{"type": "keyDown", "value": "\ue008"},
			map[string]any{"type": "keyDown", "value": "\ue004"},
			map[string]any{"type": "keyUp", "value": "\ue004"},
			map[string]any{"type": "keyUp", "value": "\ue008"},
		}})
	}
	return p.insert(ctx, code)
}

func (p *bidiPage) resize(ctx context.Context, width, height int, _ bool) error {
	return p.do(ctx, "browsingContext.setViewport", map[string]any{"viewport": map[string]int{"width": width, "height": height}}, nil)
}

func (p *bidiPage) screenshot(ctx context.Context) ([]byte, error) {
	var r struct{ Data string }
	if err := p.do(ctx, "browsingContext.captureScreenshot", map[string]any{}, &r); err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(r.Data)
}

func (p *bidiPage) close(ctx context.Context) error {
	b := p.browser
	b.mu.Lock()
	delete(b.pages, p.context)
	b.mu.Unlock()
	err := p.do(ctx, "browsingContext.close", map[string]any{}, nil)
	return errors.Join(err, b.call(ctx, "", "browser.removeUserContext", map[string]any{"userContext": p.user}, nil))
}
