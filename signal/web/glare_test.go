package web_test

import (
	"testing"

	"parley/signal/web/webtest"
)

// holdOffers keeps back the offers that a page sends, until released: so that
// two offers surely cross.
const holdOffers = `{
	const send = WebSocket.prototype.send, held = [];
	let holding = true;
	WebSocket.prototype.send = function (text) {
		if (holding && (held.length || JSON.parse(text).type === 'offer')) held.push([this, text]);
		else send.call(this, text);
	};
	Object.defineProperty(window, Symbol.for('held'), {value: held});
	Object.defineProperty(window, Symbol.for('release'), {value: () => {
		holding = false;
		for (const [socket, text] of held.splice(0)) send.call(socket, text);
	}});
}`

const (
	isHeld  = `window[Symbol.for('held')].length > 0`
	release = `void window[Symbol.for('release')]()`
)

// Both click Call at once: one call comes of it, whoever's name sorts first.
func TestGlare(t *testing.T) {
	pairs := map[string][2]*webtest.Browser{
		"chromium-firefox":  {browsers.Chromium(t, nil), browsers.Firefox(t, nil)},
		"firefox-chromium":  {browsers.Firefox(t, nil), browsers.Chromium(t, nil)},
		"chromium-chromium": {browsers.Chromium(t, nil), browsers.Chromium(t, nil)},
	}
	for name, pair := range pairs {
		t.Run(name, func(t *testing.T) {
			at := host(t)
			alice, bob := open(pair[0].For(t), at+"/?as=alice", holdOffers), open(pair[1].For(t), at+"/?as=bob", holdOffers)
			waitPhase(alice, "idle")
			waitPhase(bob, "idle")
			call(alice, "bob")
			call(bob, "alice")
			say(bob, "from a call that gave way")
			alice.Wait(isHeld)
			bob.Wait(isHeld)
			do(t, bob, release)
			do(t, alice, release)
			for _, tab := range []*webtest.Tab{alice, bob} {
				waitPhase(tab, "talking")
				tab.WaitFrames(5)
			}
			waitChat(alice, "from a call that gave way")
			say(alice, "and back")
			waitChat(bob, "and back")
			if a, b := alice.Peers(), bob.Peers(); len(a) != 1 || len(b) != 2 || b[0].Signaling != "closed" {
				t.Errorf("alice's offer was to stand: alice %+v, bob %+v", a, b)
			}
			alice.NoErrors()
			bob.NoErrors()
		})
	}
}

// An original page's offer is not signed: the browser under it takes it back when
// ours comes, and ours must go on waiting for the answer to its own. (The video
// page: in Chromium a data channel made before an offer that was taken back never opens.)
func TestGlareWithOriginalPage(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		for _, name := range []string{"aaa", "zzz"} {
			url := originals(t)
			old := open(b, url+"/original/video.html?as=old", holdOffers)
			old.Wait(`document.title === 'ready'`)
			ours := open(b, url+"/?as="+name, holdOffers)
			waitPhase(ours, "idle")
			call(ours, "old")
			do(t, old, `call('`+name+`')`)
			ours.Wait(isHeld)
			old.Wait(isHeld)
			do(t, old, release)
			do(t, ours, release)
			waitPhase(ours, "talking")
			old.WaitFrames(5)
			ours.WaitFrames(5)
			if n := len(ours.Peers()); n != 1 {
				t.Errorf("our offer was to stand, but there are %d connections", n)
			}
			ours.NoErrors()
			old.Close()
			ours.Close()
		}
	})
}
