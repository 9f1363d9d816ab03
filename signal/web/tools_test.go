//go:build !quick

package web_test

import (
	"testing"

	"parley/signal/web/webtest"
)

// The bars show the quality of the connection, and the table behind them its numbers.
func TestQuality(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		alice, bob := inCall(b, host(t))
		alice.WaitFrames(3)
		alice.Wait(`document.querySelector('#qualityBtn').dataset.bars > 0 && /: (good|fair|poor|bad)$/.test(document.querySelector('#qualityBtn').getAttribute('aria-label'))`)
		alice.Click("#qualityBtn")
		row := func(name, value string) {
			alice.Wait(`[...document.querySelectorAll('#qualityRows tr')].some(row => row.cells[0].textContent === ` + quote(name) +
				` && ` + value + `.test(row.cells[1].textContent))`)
		}
		row("Round trip", `/^\d+ ms$/`)
		row("Loss, received", `/^\d+(\.\d)? %$/`)
		row("Bitrate, received", `/^[1-9]\d* kbit\/s|\d\.\d Mbit\/s$/`)
		row("Video, received", `/^\d+×\d+, \d+ fps$/`)
		row("Codecs", `/opus/i`)
		row("Path", `/^direct, UDP$/`)
		alice.Press(webtest.Escape)
		bob.Click("#hangUpBtn")
		waitPhase(alice, "idle")
		alice.Wait(`!document.querySelector('#qualityBtn').checkVisibility()`)
		alice.NoErrors()
		bob.NoErrors()
	})
}

// The link of an invitation calls its user, after a click.
func TestInvitation(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		at := host(t)
		bob := open(b, at+"/?as=bob&answer=1", `navigator.share = async data => { window[Symbol.for('shared')] = data.url; }`)
		waitPhase(bob, "idle")
		bob.Click("#inviteBtn")
		var link string
		if err := bob.Eval(`document.querySelector('#inviteLink').value`, &link); err != nil || link != at+"/?call=bob" {
			t.Fatalf("link %q, %v", link, err)
		}
		bob.Wait(`document.querySelector('#inviteCodePath').getBoundingClientRect().width > 100`)
		bob.Click("#copyBtn")
		bob.Wait(`document.querySelector('#inviteStatus').textContent === 'Copied'`)
		bob.Click("#shareLinkBtn")
		bob.Wait(`window[Symbol.for('shared')] === ` + quote(link))
		bob.Click("#inviteDialog [data-close]")
		alice := open(b, link)
		alice.Wait(`document.querySelector('#request').innerText.includes('bob')`)
		alice.Type("#usernameInput", "alice")
		alice.Click("#loginBtn")
		waitPhase(alice, "talking")
		waitPhase(bob, "talking")
		alice.NoErrors()
		bob.NoErrors()
	})
}

// Calls are listed, also those of before a reload, and made again.
func TestHistory(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		at := host(t)
		bob := open(b, at+"/?as=bob")
		waitPhase(bob, "idle")
		alice := open(b, at+"/?as=alice")
		waitPhase(alice, "idle")
		call(alice, "bob")
		waitPhase(bob, "ringing")
		alice.Click("#hangUpBtn")
		waitPhase(bob, "idle")
		call(alice, "bob")
		answer(bob)
		waitPhase(alice, "talking")
		alice.Click("#hangUpBtn")
		waitPhase(bob, "idle")
		entries := func(tab *webtest.Tab, name string, kinds ...string) {
			tab.Click("#historyBtn")
			for i, kind := range kinds {
				tab.Wait(`(item => item?.innerText.startsWith(` + quote(name) + `) && item.innerText.includes(` + quote(kind) + `))(document.querySelectorAll('#historyList li')[` + string(rune('0'+i)) + `])`)
			}
			tab.Press(webtest.Escape)
		}
		entries(alice, "bob", "outgoing, 0:", "outgoing, not answered")
		entries(bob, "alice", "incoming, 0:", "missed")
		alice.Reload()
		waitPhase(alice, "idle")
		entries(alice, "bob", "outgoing, 0:", "outgoing, not answered")
		alice.Wait(`document.querySelector('#callNames option').value === 'bob'`)
		alice.Click("#historyBtn")
		alice.Click("#historyList button")
		answer(bob)
		waitPhase(alice, "talking")
		alice.Click("#hangUpBtn")
		waitPhase(alice, "idle")
		alice.Click("#historyBtn")
		alice.Click("#clearHistoryBtn")
		alice.Click("#historyBtn")
		alice.Wait(`document.querySelector('#historyEmpty').checkVisibility() && document.querySelectorAll('#historyList li, #callNames option').length === 0`)
		alice.NoErrors()
		bob.NoErrors()
	})
}

// Messages are kept across a reload, for the same user.
func TestMessagesAreKept(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		at := host(t)
		alice, bob := inCall(b, at)
		say(alice, "before <b>the</b> reload")
		waitChat(bob, "before <b>the</b> reload")
		say(bob, "noted")
		waitChat(alice, "noted")
		alice.Reload()
		waitPhase(alice, "talking") // the address calls again
		waitChat(alice, "before <b>the</b> reload")
		waitChat(alice, "noted")
		alice.Wait(`document.querySelector('.line.mine').innerText.includes('before <b>the</b> reload')`)
		alice.Click("#signOutBtn")
		alice.Wait(`!document.querySelector('#loginPage').hidden`)
		signIn(alice, "another") // in the same document
		alice.Wait(`document.querySelectorAll('.line').length === 0`)
		alice.Go(at + "/?as=alice")
		waitPhase(alice, "idle")
		alice.Wait(`document.querySelectorAll('.line').length === 0`)
		alice.Go(at)
		alice.Wait(`document.querySelector('#usernameInput').value === 'alice'`) // also where the address has no name
		alice.Click("#loginBtn")
		waitPhase(alice, "idle")
		alice.Click("#signOutBtn")
		alice.Reload()
		alice.Wait(`document.querySelector('#usernameInput').value === ''`)
		alice.NoErrors()
		bob.NoErrors()
	})
}

// hide makes a page believe that its tab is hidden, or not.
func hide(t *testing.T, tab *webtest.Tab, hidden string) {
	t.Helper()
	do(t, tab, `void (Object.defineProperty(document, 'hidden', {configurable: true, get: () => `+hidden+`}), document.dispatchEvent(new Event('visibilitychange')))`)
}

// Messages that nobody can see are counted in the title and on the conversation.
func TestUnread(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		alice, bob := inCall(b, host(t))
		say(alice, "seen")
		waitChat(bob, "seen")
		bob.Wait(`!document.title.startsWith('(')`)
		hide(t, bob, "true")
		say(alice, "one")
		say(alice, "two")
		bob.Wait(`document.title.startsWith('(2) ') && document.querySelector('#unreadBtn').innerText === '2 new messages'`)
		hide(t, bob, "false")
		bob.Wait(`!document.title.startsWith('(') && !document.querySelector('#unreadBtn').checkVisibility()`)

		for range 30 {
			do(t, alice, `(input => { input.value = 'more\n'; input.form.requestSubmit(); })(document.querySelector('#msgInput'))`)
		}
		bob.Wait(`document.querySelectorAll('.line:not(.note)').length === 33`)
		const settled = `new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(() => resolve(true))))`
		bob.Wait(settled)
		bob.Wait(`(list => { list.scrollTop = 0; return list.scrollTop === 0 && list.scrollHeight > 2 * list.clientHeight; })(document.querySelector('#chatarea'))`)
		bob.Wait(settled)
		say(alice, "while you read")
		bob.Wait(`document.querySelector('#unreadBtn').checkVisibility() && document.title.startsWith('(1) ')`)
		bob.Click("#unreadBtn")
		bob.Wait(`!document.querySelector('#unreadBtn').checkVisibility() && !document.title.startsWith('(')`)
		alice.NoErrors()
		bob.NoErrors()
	})
}

// Single keys act outside of text fields, unless they are turned off.
func TestShortcuts(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		alice, bob := inCall(b, host(t))
		muted := func(is string) {
			alice.Wait(`document.querySelector('#micBtn').getAttribute('aria-pressed') === '` + is + `'`)
		}
		alice.Type("#msgInput", "m")
		muted("false")
		alice.Click("#chatarea")
		alice.Press("m")
		muted("true")
		alice.Press("m")
		muted("false")
		alice.Press("c")
		alice.Wait(`document.activeElement.id === 'msgInput' && document.activeElement.value === 'm'`)
		alice.Click("#chatarea")
		alice.Press("?")
		alice.Wait(`document.querySelector('#shortcutsDialog').open && document.querySelectorAll('#shortcutsRows tr').length > 9`)
		alice.Press("m") // a dialog has keys of its own
		alice.Click("#shortcutsInput")
		alice.Press(webtest.Escape)
		alice.Wait(`!document.querySelector('dialog[open]')`)
		alice.Click("#chatarea")
		alice.Press("m")
		alice.Press("H")
		alice.Click("#shortcutsBtn")
		muted("false")
		alice.Click("#shortcutsInput")
		alice.Press(webtest.Escape)
		alice.Wait(`!document.querySelector('dialog[open]')`)
		alice.Press("H")
		waitPhase(bob, "idle")
		waitPhase(alice, "idle")
		alice.NoErrors()
		bob.NoErrors()
	})
}

// A complete call by the keyboard alone: sign in, call, answer, look at a dialog, write, hang up.
func TestKeyboardOnly(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		// One window each: Firefox presses no button in a window behind another one.
		other := browsers.Firefox(t, nil)
		if b.Name() == "firefox" {
			other = browsers.Chromium(t, nil)
		}
		at := host(t)
		alice, bob := open(other, at), open(b, at)
		keys := func(tab *webtest.Tab, keys ...webtest.Key) {
			for _, key := range keys {
				tab.Press(key)
			}
		}
		focused := func(tab *webtest.Tab, id string) { tab.Wait(`document.activeElement.id === ` + quote(id)) }
		// tabTo moves the focus to an element, forwards or backwards: Firefox does not come back
		// from its own buttons.
		tabTo := func(tab *webtest.Tab, key webtest.Key, id string) {
			for range 20 {
				var at string
				if err := tab.Eval(`document.activeElement.id`, &at); err != nil {
					t.Fatal(err)
				}
				if at == id {
					return
				}
				tab.Press(key)
			}
			tab.Fatalf("%s cannot be reached by Tab", id)
		}
		for name, tab := range map[string]*webtest.Tab{"a": alice, "b": bob} {
			focused(tab, "usernameInput")
			keys(tab, webtest.Key(name), webtest.Enter)
			waitPhase(tab, "idle")
			focused(tab, "callToUsernameInput")
		}
		keys(alice, "b", webtest.Enter)
		waitPhase(bob, "ringing")
		tabTo(bob, webtest.ShiftTab, "acceptBtn")
		keys(bob, webtest.Enter)
		waitPhase(alice, "talking")
		waitPhase(bob, "talking")
		bob.Wait(`document.activeElement.id === 'stage'`)
		tabTo(bob, webtest.TabKey, "qualityBtn")
		keys(bob, webtest.Enter)
		bob.Wait(`document.querySelector('#qualityDialog').contains(document.activeElement)`)
		keys(bob, webtest.Escape)
		focused(bob, "qualityBtn")
		tabTo(bob, webtest.TabKey, "msgInput")
		keys(bob, "h", "i", webtest.Enter)
		waitChat(alice, "hi")
		tabTo(alice, webtest.ShiftTab, "hangUpBtn")
		keys(alice, webtest.Enter)
		waitPhase(alice, "idle")
		waitPhase(bob, "idle")
		alice.NoErrors()
		bob.NoErrors()
	})
}

// The screen stays on during a call, and only then.
func TestWakeLock(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		alice, bob := inCall(b, host(t), `if (navigator.wakeLock) {
			const locks = window[Symbol.for('locks')] = [], request = WakeLock.prototype.request;
			WakeLock.prototype.request = async function (type) {
				const lock = await request.call(this, type);
				locks.push(lock);
				return lock;
			};
		}`)
		alice.Wait(`window[Symbol.for('locks')].filter(lock => !lock.released).length === 1`)
		bob.Click("#hangUpBtn")
		waitPhase(alice, "idle")
		alice.Wait(`window[Symbol.for('locks')].every(lock => lock.released)`)
		alice.NoErrors()
	})
}

func TestFullScreen(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		alice, bob := inCall(b, host(t))
		alice.WaitFrames(3)
		alice.Click("#fullScreenBtn")
		alice.Wait(`document.fullscreenElement?.id === 'stage' && document.querySelector('#fullScreenBtn').getAttribute('aria-label') === 'Leave full screen'`)
		alice.Click("#fullScreenBtn")
		alice.Wait(`document.fullscreenElement === null && document.querySelector('#fullScreenBtn').getAttribute('aria-pressed') === 'false'`)
		alice.Click("#fullScreenBtn")
		alice.Wait(`document.fullscreenElement !== null`)
		bob.Click("#hangUpBtn")
		waitPhase(alice, "idle")
		alice.Wait(`document.fullscreenElement === null`)
		alice.NoErrors()
		bob.NoErrors()
	})
}

func TestPictureInPicture(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		alice, bob := inCall(b, host(t))
		alice.WaitFrames(3)
		alice.Wait(`document.querySelector('#pipBtn').checkVisibility() === (document.pictureInPictureEnabled === true)`)
		var has bool
		if err := alice.Eval(`document.pictureInPictureEnabled === true`, &has); err != nil {
			t.Fatal(err)
		}
		if has {
			alice.Click("#pipBtn")
			alice.Wait(`document.pictureInPictureElement?.id === 'remoteVideo' && document.querySelector('#pipBtn').getAttribute('aria-pressed') === 'true'`)
			alice.Click("#pipBtn")
			alice.Wait(`document.pictureInPictureElement === null`)
			alice.Click("#pipBtn")
			alice.Wait(`document.pictureInPictureElement !== null`)
		}
		bob.Click("#hangUpBtn")
		waitPhase(alice, "idle")
		alice.Wait(`!document.pictureInPictureElement && document.querySelector('#pipBtn').disabled`)
		alice.NoErrors()
		bob.NoErrors()
	})
}

// A call that rings in a hidden tab is notified, if the user has asked for that by a click.
func TestNotification(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		at := host(t)
		bob := open(b, at+"/?as=bob", `window.Notification = class {
			static permission = 'default';
			static asked = 0;
			static shown = [];
			static async requestPermission() { this.asked++; return this.permission = 'granted'; }
			constructor(title) { this.title = title; Notification.shown.push(this); }
			close() { this.closed = true; }
		}`)
		waitPhase(bob, "idle")
		alice := open(b, at+"/?as=alice")
		waitPhase(alice, "idle")
		bob.Wait(`Notification.asked === 0`)
		bob.Click("#notifyBtn")
		bob.Wait(`Notification.asked === 1 && !document.querySelector('#notifyBtn').checkVisibility()`)
		call(alice, "bob")
		waitPhase(bob, "ringing")
		bob.Wait(`Notification.shown.length === 0`) // the tab is visible
		alice.Click("#hangUpBtn")
		waitPhase(bob, "idle")
		hide(t, bob, "true")
		call(alice, "bob")
		waitPhase(bob, "ringing")
		bob.Wait(`Notification.shown.length === 1 && Notification.shown[0].title === 'alice is calling' && !Notification.shown[0].closed`)
		alice.Click("#hangUpBtn")
		waitPhase(bob, "idle")
		bob.Wait(`Notification.shown[0].closed`)
		alice.NoErrors()
		bob.NoErrors()
	})
}

// A dialog gives way to a call that rings, whose buttons nothing covers.
func TestRingingOverDialog(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		at := host(t)
		bob := open(b, at+"/?as=bob", countDevices)
		waitPhase(bob, "idle")
		bob.Click("#previewBtn")
		bob.Wait(`window[Symbol.for('devices')].length === 2`)
		alice := open(b, at+"/?as=alice&call=bob")
		waitPhase(bob, "ringing")
		bob.Wait(`!document.querySelector('dialog[open]') && document.activeElement.id === 'acceptBtn'`)
		bob.Wait(devicesAreClosed)
		bob.Click("#acceptBtn")
		waitPhase(alice, "talking")
		alice.WaitFrames(3)
		alice.NoErrors()
		bob.NoErrors()
	})
}

// The page works where a browser forbids storage.
func TestNoStorage(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		at := host(t)
		alice, bob := inCall(b, at, `for (const name of ['localStorage', 'sessionStorage']) {
			Object.defineProperty(window, name, {get() { throw new DOMException('forbidden', 'SecurityError'); }});
		}`)
		say(alice, "hello")
		waitChat(bob, "hello")
		alice.Click("#hangUpBtn")
		waitPhase(alice, "idle")
		alice.Click("#historyBtn")
		alice.Wait(`document.querySelector('#historyEmpty').checkVisibility()`)
		alice.NoErrors()
	})
}

// TestToolsAccessibility has axe-core look at what surrounds a call, light and dark.
func TestToolsAccessibility(t *testing.T) {
	lightAndDark(t, func(t *testing.T, b *webtest.Browser) {
		at := host(t)
		alice, bob := b.NewTab(), b.NewTab()
		axe(t, alice)
		if b.Name() == "firefox" {
			alice.Preload(canvasScreen)
		}
		bob.Go(at + "/?as=bob&answer=1")
		waitPhase(bob, "idle")
		alice.Go(at + "/?as=alice")
		waitPhase(alice, "idle")
		dialog := func(button, screen string) {
			alice.Click(button)
			alice.Wait(`document.querySelector('dialog[open]')`)
			accessible(t, alice, screen)
			alice.Press(webtest.Escape)
			alice.Wait(`!document.querySelector('dialog[open]')`)
		}
		dialog("#previewBtn", "preview")
		dialog("#inviteBtn", "invitation")
		dialog("#historyBtn", "no recent calls")
		dialog("#shortcutsBtn", "shortcuts")
		call(alice, "bob")
		waitPhase(alice, "talking")
		alice.WaitFrames(3)
		alice.Wait(`document.querySelectorAll('#qualityRows tr').length > 0`)
		dialog("#qualityBtn", "quality")
		alice.Click("#shareBtn")
		alice.Wait(`document.querySelector('#sharing').checkVisibility()`)
		accessible(t, alice, "sharing")
		hide(t, alice, "true")
		say(bob, "hello")
		alice.Wait(`document.querySelector('#unreadBtn').checkVisibility()`)
		accessible(t, alice, "unread")
		alice.Resize(390, 844, true)
		accessible(t, alice, "sharing on a phone")
		dialog("#devicesBtn", "devices on a phone")
		alice.Click("#hangUpBtn")
		waitPhase(alice, "idle")
		dialog("#historyBtn", "recent calls")
		alice.NoErrors()
		bob.NoErrors()
	})
}
