//go:build !quick

package web_test

import (
	"net/url"
	"testing"

	"parley/signal/web/webtest"
)

// A tab without camera and microphone calls, is called, receives, and chats.
func TestNoCamera(t *testing.T) {
	for _, c := range []struct {
		name  string
		b     func(*testing.T) *webtest.Browser
		words string
	}{
		{"chromium, none", func(t *testing.T) *webtest.Browser {
			return browsers.Chromium(t, &webtest.Options{Media: webtest.NoMedia})
		}, "No camera and microphone found"},
		{"chromium, denied", func(t *testing.T) *webtest.Browser {
			return browsers.Chromium(t, &webtest.Options{Media: webtest.DeniedMedia})
		}, "does not allow it"},
		{"firefox, denied", func(t *testing.T) *webtest.Browser {
			return webtest.Firefox(t, &webtest.Options{Media: webtest.DeniedMedia})
		}, "does not allow it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := host(t)
			poor := open(c.b(t), at+"/?as=poor&answer=1")
			waitPhase(poor, "idle")
			rich := open(browsers.Chromium(t, nil), at+"/?as=rich&answer=1")
			waitPhase(rich, "idle")
			call(poor, "rich")
			waitNotice(poor, c.words)
			receivesOnly(t, poor, rich)
			poor.Click("#hangUpBtn")
			waitPhase(rich, "idle")
			call(rich, "poor")
			receivesOnly(t, poor, rich)
			poor.NoErrors()
			rich.NoErrors()
		})
	}
}

func receivesOnly(t *testing.T, poor, rich *webtest.Tab) {
	t.Helper()
	waitPhase(poor, "talking")
	waitPhase(rich, "talking")
	poor.WaitFrames(5)
	poor.WaitTone(400)
	say(poor, "I see you")
	waitChat(rich, "I see you")
	say(rich, "I don't")
	waitChat(poor, "I don't")
	rich.Wait(`document.querySelector('#avatar').checkVisibility()`)
	if v := rich.RemoteVideo(); v.Frames != 0 {
		t.Errorf("a tab without a camera sent %+v", v)
	}
}

// Over plain http from another host there is no navigator.mediaDevices at all.
func TestInsecurePage(t *testing.T) {
	b := browsers.Chromium(t, &webtest.Options{Args: []string{"--host-resolver-rules=MAP parley.test 127.0.0.1"}})
	at := host(t)
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	poor := open(b, "http://parley.test:"+u.Port()+"/?as=poor&answer=1")
	poor.Click("#loginBtn") // such a page has no permission to act by itself
	waitPhase(poor, "idle")
	var secure bool
	if err := poor.Eval(`isSecureContext`, &secure); err != nil || secure {
		t.Fatalf("the page is secure, and proves nothing: %v", err)
	}
	rich := open(browsers.Chromium(t, nil), at+"/?as=rich&call=poor")
	answer(poor)
	waitNotice(poor, "https")
	receivesOnly(t, poor, rich)
	rich.NoErrors()
	poor.NoErrors()
}

// A question for the camera that nobody answers holds up a call for ten seconds,
// not for ever.
func TestUnansweredQuestion(t *testing.T) {
	at := host(t)
	asked := open(webtest.Firefox(t, &webtest.Options{Media: webtest.PendingMedia}), at+"/?as=asked&answer=1")
	waitPhase(asked, "idle")
	rich := open(browsers.Chromium(t, nil), at+"/?as=rich&call=asked")
	asked.Wait(`document.querySelector('#selfNote').innerText === 'waiting for the camera'`)
	receivesOnly(t, asked, rich)
	asked.NoErrors()
	rich.NoErrors()
}

// A camera that is granted late joins the call that is going on.
func TestLateCamera(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		at := host(t)
		// Held back is only the answer of the real getUserMedia; the patience is shortened.
		late := open(b, at+"/?as=late&answer=1", `if (navigator.mediaDevices) {
			const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices), later = window.setTimeout;
			const granted = new Promise(resolve => Object.defineProperty(window, Symbol.for('grant'), {value: resolve}));
			navigator.mediaDevices.getUserMedia = async c => { await granted; return ask(c); };
			window.setTimeout = (f, ms, ...a) => later(f, ms === 10000 ? 100 : ms, ...a);
		}`)
		waitPhase(late, "idle")
		alice := open(b, at+"/?as=alice&call=late")
		waitPhase(late, "talking")
		late.WaitFrames(3)
		alice.Wait(`document.querySelector('#avatar').checkVisibility()`)
		do(t, late, `void window[Symbol.for('grant')]()`)
		alice.WaitFrames(5)
		alice.WaitTone(tone(b))
		if n := len(alice.Peers()); n != 1 {
			t.Errorf("%d connections instead of one", n)
		}
		alice.NoErrors()
		late.NoErrors()
	})
}

// A muted microphone and a camera that is off are shown at the peer. The camera is closed then.
func TestMute(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		alice, bob := inCall(b, host(t), countDevices)
		shows := func(tab *webtest.Tab, words string) {
			t.Helper()
			tab.Wait(`(e => e.checkVisibility() ? e.innerText === ` + quote(words) + ` : ` + quote(words) + ` === '')(document.querySelector('#peerMuted'))`)
		}
		bob.WaitTone(tone(b))
		bob.WaitFrames(3)
		shows(bob, "")
		alice.Click("#micBtn")
		alice.Wait(`document.querySelector('#micBtn').getAttribute('aria-pressed') === 'true'`)
		shows(bob, "alice: microphone muted")
		alice.Click("#camBtn")
		alice.Wait(`document.querySelector('#camBtn').getAttribute('aria-label') === 'Turn the camera on'`)
		shows(bob, "alice: microphone muted, camera off")
		bob.Wait(`document.querySelector('#avatar').checkVisibility()`)
		alice.Wait(`window[Symbol.for('devices')].filter(t => t.kind === 'video').every(t => t.readyState === 'ended')`)
		alice.Click("#micBtn")
		shows(bob, "alice: camera off")
		bob.WaitTone(tone(b))
		alice.Click("#camBtn")
		shows(bob, "")
		bob.WaitFrames(5)
		alice.WaitFrames(5)
		for _, tab := range []*webtest.Tab{alice, bob} {
			if n := len(tab.Peers()); n != 1 {
				t.Errorf("got %d connections, want 1", n)
			}
			tab.NoErrors()
		}
	})
}
