//go:build !quick

package web_test

import (
	"net/url"
	"testing"

	"parley/signal/web/webtest"
)

// The address alone signs in, calls, and says; nobody touches the page.
func TestAddress(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		at := host(t)
		bob := open(b, at+"/?as=bob&answer=1&say=welcome")
		waitPhase(bob, "idle")
		alice := open(b, at+"/?as=alice&call=bob&say=hello&say="+url.QueryEscape("ünï & <b>two</b>"))
		waitPhase(alice, "talking")
		waitChat(bob, "hello")
		waitChat(bob, "ünï & <b>two</b>")
		waitChat(alice, "welcome")
		bob.WaitFrames(3)
		alice.Close() // as a person closes a tab
		waitChat(bob, "hung up")
		again := open(b, at+"/?as=alice") // the name is free again
		waitPhase(again, "idle")
		again.NoErrors()
		bob.NoErrors()
	})
}

func TestReload(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		alice, bob := inCall(b, host(t))
		alice.Reload()
		waitPhase(alice, "talking")
		waitPhase(bob, "talking")
		bob.WaitFrames(3)
		alice.WaitFrames(3)
		alice.NoErrors()
		bob.NoErrors()
	})
}

// A page that is left for another one leaves its name, though the browser may keep the page: it is
// free at once.
func TestNameOfAPageThatIsLeft(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		at := host(t)
		for range 3 {
			alice := open(b, at+"/?as=alice")
			waitPhase(alice, "idle")
			alice.Go(at + "/hello")
			alice.Go(at + "/?as=alice")
			waitPhase(alice, "idle")
			alice.Close()
		}
	})
}

func TestNameTaken(t *testing.T) {
	b := browsers.Chromium(t, nil)
	at := host(t)
	first := open(b, at+"/?as=alice")
	waitPhase(first, "idle")
	for _, second := range []*webtest.Tab{open(b, at+"/?as=alice"), open(b, at)} {
		if second.Text("#loginStatus") == "" {
			second.Type("#usernameInput", "alice")
			second.Press(webtest.Enter)
		}
		second.Wait(`!document.querySelector('#loginPage').hidden && document.querySelector('#callPage').hidden &&
			/alice/.test(document.querySelector('#loginStatus').innerText) && !document.querySelector('#loginBtn').disabled`)
		second.NoErrors()
	}
	first.Click("#signOutBtn")
	first.Wait(`!document.querySelector('#loginPage').hidden`)
	third := open(b, at+"/?as=alice&answer=1")
	waitPhase(third, "idle")
	signIn(first, "carol")
	call(first, "alice")
	waitPhase(first, "talking")
	first.NoErrors()
}

func TestNobodyThere(t *testing.T) {
	b := browsers.Chromium(t, nil)
	alice := open(b, host(t)+"/?as=alice&call=nobody")
	waitNotice(alice, "nobody is not signed in")
	waitPhase(alice, "idle")
	call(alice, "alice")
	waitNotice(alice, "your own name")
	alice.NoErrors()
}

func TestSilence(t *testing.T) {
	b := browsers.Chromium(t, nil)
	at := host(t)
	bob := open(b, at+"/?as=bob&answer=1&video=0&audio=0")
	waitPhase(bob, "idle")
	alice := open(b, at+"/?as=alice&video=0&call=bob")
	waitPhase(alice, "talking")
	bob.Wait(`document.querySelector('#selfNote').innerText === 'receive only'`)
	bob.WaitTone(400)
	bob.Wait(`document.querySelector('#avatar').checkVisibility() && document.querySelector('#initial').innerText === 'A'`)
	if v := bob.RemoteVideo(); v.Frames != 0 {
		t.Errorf("video=0 sent %+v", v)
	}
	if bob.Text("#noticeText") != "" {
		t.Errorf("what was not wanted is not missing: %q", bob.Text("#noticeText"))
	}
	alice.NoErrors()
	bob.NoErrors()
}
