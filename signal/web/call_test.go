//go:build !quick

package web_test

import (
	"testing"

	"parley/signal/web/webtest"
)

// TestCall is the main job for each pair of browsers, with hands alone: sign in,
// call, see, hear, write, hang up; then again the other way round without a reload.
func TestCall(t *testing.T) {
	chromium := func(t *testing.T) *webtest.Browser { return browsers.Chromium(t, nil) }
	firefox := func(t *testing.T) *webtest.Browser { return browsers.Firefox(t, nil) }
	for _, pair := range []struct {
		name           string
		caller, callee func(*testing.T) *webtest.Browser
	}{
		{"chromium-chromium", chromium, chromium},
		{"firefox-firefox", firefox, firefox},
		{"chromium-firefox", chromium, firefox},
		{"firefox-chromium", firefox, chromium},
	} {
		t.Run(pair.name, func(t *testing.T) {
			a, b := pair.caller(t), pair.callee(t)
			url := host(t)
			alice, bob := open(a, url), open(b, url)
			signIn(alice, "alice")
			signIn(bob, "bob")
			talk(t, a, b, alice, bob, "bob")
			alice.Click("#hangUpBtn")
			waitPhase(bob, "idle")
			waitChat(bob, "hung up")
			waitPhase(alice, "idle")

			talk(t, b, a, bob, alice, "alice")
			alice.Click("#hangUpBtn") // this time the one who was called
			waitPhase(bob, "idle")
			waitPhase(alice, "idle")
			for _, tab := range []*webtest.Tab{alice, bob} {
				if peers := tab.Peers(); len(peers) != 2 || count(t, peers, "closed") != 2 {
					t.Errorf("connections left behind: %+v", peers)
				}
				tab.NoErrors()
			}
		})
	}
}

// talk has one call the other and checks all that goes between them.
func talk(t *testing.T, a, b *webtest.Browser, caller, callee *webtest.Tab, name string) {
	t.Helper()
	call(caller, name)
	answer(callee)
	for _, tab := range []*webtest.Tab{caller, callee} {
		waitPhase(tab, "talking")
		// Browsers send less than the camera's 1280×720 while they are short of bandwidth or CPU.
		if v := tab.WaitFrames(10); v.Width*9 != v.Height*16 || v.Width < 160 || v.Width > 1280 {
			t.Errorf("the remote video is %d×%d", v.Width, v.Height)
		}
		tab.Wait(`(v => document.querySelector('#callPage').dataset.video === 'yes' &&
			document.querySelector('#facts').innerText.includes(v.videoWidth + '×' + v.videoHeight))(document.querySelector('#remoteVideo'))`)
	}
	say(caller, "ping from "+a.Name())
	waitChat(callee, "ping from "+a.Name())
	say(callee, "pong from "+b.Name())
	waitChat(caller, "pong from "+b.Name())
	waitChat(callee, "pong from "+b.Name())
	caller.WaitTone(tone(b))
	callee.WaitTone(tone(a))
}

// Nothing of the page is on window: what scripts of a page share there, anybody can reach.
func TestNothingGlobal(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		names := `Object.getOwnPropertyNames(window).filter(n => !/^\d+$/.test(n)).sort()`
		tab := b.NewTab()
		tab.Preload(`const before = ` + names + `; Object.defineProperty(window, Symbol.for('before'), {value: before});`)
		tab.Go(host(t) + "/?as=alice")
		tab.Wait(`!document.querySelector('#callPage').hidden`)
		var more []string
		if err := tab.Eval(names+`.filter(n => !window[Symbol.for('before')].includes(n) && n !== 'before')`, &more); err != nil {
			t.Fatal(err)
		}
		if len(more) > 0 {
			t.Errorf("on window: %v", more)
		}
		tab.NoErrors()
	})
}
