//go:build !quick

package web_test

import (
	"testing"

	"parley/signal/web/webtest"
)

// holdScreen has the question for a screen wait for its answer, and counts the questions.
const holdScreen = `if (navigator.mediaDevices) {
	const open = MediaDevices.prototype.getDisplayMedia, questions = window[Symbol.for('questions')] = [];
	MediaDevices.prototype.getDisplayMedia = async function (constraints) {
		await new Promise(resolve => questions.push(resolve));
		return window[Symbol.for('screen')] = await open.call(this, constraints);
	};
}`

// answerScreen answers the question for a screen.
const answerScreen = `void window[Symbol.for('questions')].at(-1)()`

// screenPreload returns what holds the question for a screen.
func screenPreload(b *webtest.Browser) []string {
	if b.Name() == "firefox" {
		return []string{canvasScreen, holdScreen}
	}
	return []string{holdScreen}
}

// A button does by a double click what it does by a click: the second click does nothing, neither
// by the same button nor by what the first has put in its place.
func TestDoubleClicks(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		at := host(t)
		alice, bob := open(b, at, screenPreload(b)...), open(b, at)
		for name, tab := range map[string]*webtest.Tab{"alice": alice, "bob": bob} {
			tab.Type("#usernameInput", name)
			tab.DoubleClick("#loginBtn")
			waitPhase(tab, "idle")
		}
		stays := func(tab *webtest.Tab, button, dialog string) {
			tab.DoubleClick(button)
			tab.Wait(`document.querySelector('` + dialog + `').open`)
			tab.Click(dialog + " h2") // in the dialog, and on no control
			tab.Wait(`document.querySelector('` + dialog + `').open`)
			tab.Press(webtest.Escape)
			tab.Wait(`!document.querySelector('dialog[open]')`)
		}
		stays(alice, "#previewBtn", "#devicesDialog")
		stays(alice, "#inviteBtn", "#inviteDialog")
		stays(alice, "#historyBtn", "#historyDialog")
		stays(alice, "#shortcutsBtn", "#shortcutsDialog")

		alice.Type("#callToUsernameInput", "bob")
		alice.DoubleClick("#callBtn")
		waitPhase(bob, "ringing")
		bob.DoubleClick("#declineBtn")
		waitChat(alice, "bob is busy or declined")
		waitPhase(bob, "idle")
		bob.Wait(`!document.querySelector('dialog[open]') && document.querySelectorAll('.note').length === 0`)
		if a, b := len(alice.Peers()), len(bob.Peers()); a != 1 || b != 1 {
			t.Errorf("a double click on Call made %d connections, and bob %d; want 1", a, b)
		}

		call(alice, "bob")
		waitPhase(bob, "ringing")
		bob.DoubleClick("#acceptBtn")
		for _, tab := range []*webtest.Tab{alice, bob} {
			waitPhase(tab, "talking")
			tab.WaitFrames(3)
		}
		bob.Wait(`[...document.querySelectorAll('.controls [aria-pressed]')].every(b => b.getAttribute('aria-pressed') === 'false') &&
			!document.querySelector('dialog[open]') && document.fullscreenElement === null`)

		stays(alice, "#devicesBtn", "#devicesDialog")
		stays(alice, "#qualityBtn", "#qualityDialog")
		alice.DoubleClick("#shareBtn")
		alice.Wait(`window[Symbol.for('questions')].length === 1`)
		alice.Click("#shareBtn")
		do(t, alice, answerScreen)
		alice.Wait(`document.querySelector('#sharing').checkVisibility()`)
		alice.Wait(`window[Symbol.for('questions')].length === 1`)
		alice.DoubleClick("#stopShareBtn")
		alice.Wait(`!document.querySelector('#sharing').checkVisibility()`)
		alice.DoubleClick("#hangUpBtn")
		for _, tab := range []*webtest.Tab{alice, bob} {
			waitPhase(tab, "idle")
			tab.Wait(`!document.querySelector('dialog[open]')`)
			tab.NoErrors()
		}
	})
}

// A click in a dialog leaves it open, where it hits no control too; so does a selection of text
// that ends beside it. A click beside it closes it.
func TestClicksBesideDialogs(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		tab := open(b, host(t)+"/?as=alice")
		waitPhase(tab, "idle")
		tab.Click("#inviteBtn")
		mouse := func(press, click string) {
			do(t, tab, `(dialog => {
				const {left, right, top, bottom} = dialog.getBoundingClientRect(), inside = {clientX: left + 4, clientY: (top + bottom) / 2}, beside = {clientX: left - 4, clientY: top - 4};
				for (const [type, point] of [['mousedown', `+press+`], ['click', `+click+`]]) dialog.dispatchEvent(new MouseEvent(type, {bubbles: true, detail: 1, ...point}));
			})(document.querySelector('#inviteDialog'))`)
		}
		for _, c := range []struct{ press, click, open string }{
			{"inside", "inside", "true"}, {"inside", "beside", "true"}, {"beside", "inside", "true"}, {"beside", "beside", "false"},
		} {
			mouse(c.press, c.click)
			tab.Wait(`document.querySelector('#inviteDialog').open === ` + c.open)
		}
		tab.NoErrors()
	})
}

// An answer to the browser's question for a screen that comes after the call shares nothing with
// the next peer.
func TestScreenOfAnotherCall(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		at := host(t)
		carol := open(b, at+"/?as=carol&answer=1")
		waitPhase(carol, "idle")
		alice, bob := inCall(b, at, screenPreload(b)...)
		alice.Click("#shareBtn")
		alice.Wait(`window[Symbol.for('questions')].length === 1`)
		alice.Click("#hangUpBtn")
		waitPhase(bob, "idle")
		call(alice, "carol")
		waitPhase(alice, "talking")
		carol.WaitFrames(3)
		do(t, alice, answerScreen)
		alice.Wait(`window[Symbol.for('screen')]?.getTracks().every(track => track.readyState === 'ended')`)
		alice.Wait(`!document.querySelector('#sharing').checkVisibility()`)
		carol.WaitFrames(3)
		if v := carol.RemoteVideo(); v.Width*9 != v.Height*16 {
			t.Errorf("carol receives a screen of %d×%d", v.Width, v.Height)
		}
		alice.Click("#shareBtn") // and a new question is about this call
		alice.Wait(`window[Symbol.for('questions')].length === 2`)
		do(t, alice, answerScreen)
		carol.Wait(`document.querySelector('#remoteVideo').videoWidth === 800`)
		alice.NoErrors()
		bob.NoErrors()
		carol.NoErrors()
	})
}
