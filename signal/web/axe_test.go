//go:build !quick

package web_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"parley/signal/web/webtest"
)

// axe has axe-core (https://github.com/dequelabs/axe-core) in every later document of a tab. The
// browser's driver runs it beside the page's own scripts, which the content security policy
// restricts.
func axe(t *testing.T, tab *webtest.Tab) {
	t.Helper()
	source, err := os.ReadFile(tools + "/node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Fatalf("axe-core is not installed: run make deps: %v", err)
	}
	tab.Preload(string(source))
}

// accessible fails if axe-core finds a violation of WCAG 2.2 AA, or of its best practices, on a
// screen.
func accessible(t *testing.T, tab *webtest.Tab, screen string) {
	t.Helper()
	var found struct {
		Passes     int
		Violations []struct {
			ID, Help string
			Nodes    []struct {
				HTML, FailureSummary string
				Target               []string
			}
		}
	}
	// A transition has colours of its own for a moment.
	const run = `(async () => {
		await Promise.all(document.getAnimations().filter(a => a.effect.getComputedTiming().endTime < Infinity).map(a => a.finished.catch(() => {})));
		const {passes, violations} = await axe.run({resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']});
		return {passes: passes.length, violations};
	})()`
	if err := tab.Eval(run, &found); err != nil {
		t.Errorf("%s: %v", screen, err)
		return
	}
	if found.Passes == 0 {
		t.Errorf("%s: axe-core has checked nothing", screen)
	}
	for _, v := range found.Violations {
		var nodes strings.Builder
		for _, n := range v.Nodes {
			fmt.Fprintf(&nodes, "\n  %s\n  %.200s\n  %s", strings.Join(n.Target, " "), n.HTML, strings.ReplaceAll(n.FailureSummary, "\n", "\n    "))
		}
		t.Errorf("%s: %s: %s%s", screen, v.ID, v.Help, nodes.String())
	}
}

// lightAndDark runs a test light and dark, and the latter in both browsers.
func lightAndDark(t *testing.T, test func(t *testing.T, b *webtest.Browser)) {
	dark := &webtest.Options{Dark: true}
	t.Run("chromium, light", func(t *testing.T) { test(t, browsers.Chromium(t, nil)) })
	t.Run("chromium, dark", func(t *testing.T) { test(t, browsers.Chromium(t, dark)) })
	t.Run("firefox, dark", func(t *testing.T) { test(t, browsers.Firefox(t, dark)) })
}

// TestAccessibility has axe-core look at every screen, light and dark.
func TestAccessibility(t *testing.T) {
	lightAndDark(t, func(t *testing.T, b *webtest.Browser) {
		at := host(t)
		alice, bob := b.NewTab(), b.NewTab()
		axe(t, alice)
		axe(t, bob)

		bob.Go(at + "/")
		accessible(t, bob, "sign-in")
		bob.Click("#loginBtn")
		bob.Wait(`document.querySelector('#loginStatus').innerText !== ''`)
		accessible(t, bob, "sign-in without a name")
		bob.Go(hostWithoutPermission(t) + "/?as=bob&call=alice&say=hello")
		bob.Wait(`document.querySelector('#request').checkVisibility()`)
		accessible(t, bob, "request of a link")
		bob.Go(at + "/")
		signIn(bob, "bob")
		waitPhase(bob, "idle")
		accessible(t, bob, "idle")

		alice.Go(at + "/?as=alice")
		waitPhase(alice, "idle")
		call(alice, "nobody")
		waitNotice(alice, "nobody")
		accessible(t, alice, "notice")
		call(alice, "bob")
		waitPhase(alice, "calling")
		accessible(t, alice, "calling")
		waitPhase(bob, "ringing")
		accessible(t, bob, "ringing")
		answer(bob)
		waitPhase(alice, "talking")
		waitPhase(bob, "talking")
		accessible(t, bob, "call")
		say(alice, "hello")
		waitChat(bob, "hello")
		say(bob, "hello too")
		waitChat(alice, "hello too")
		accessible(t, bob, "chat")
		alice.Resize(390, 844, true)
		accessible(t, alice, "chat on a phone")
		alice.Resize(1280, 800, false)
		pick(t, alice, map[string]int{"notes.txt": 1000})
		waitCard(bob, "notes.txt")
		accessible(t, alice, "files sent")
		accessible(t, bob, "files offered")
		bob.Click("#hangUpBtn")
		waitPhase(bob, "idle")
		accessible(t, bob, "after a call")

		hello := b.NewTab()
		axe(t, hello)
		hello.Go(at + "/hello")
		accessible(t, hello, "hello")
		hello.Click("#gandalfBtn")
		hello.Wait(`document.querySelector('#status').innerText === 'You are Gandalf.'`)
		accessible(t, hello, "hello as Gandalf")
		for _, tab := range []*webtest.Tab{alice, bob, hello} {
			tab.NoErrors()
		}
	})
}
