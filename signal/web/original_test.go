//go:build !quick

package web_test

import (
	"net/http"
	"strings"
	"testing"

	"parley/signal/server"
	"parley/signal/signaltest"
	"parley/signal/web"
	"parley/signal/web/webtest"
)

// originals serves our pages and, under /original/, pages that behave as the
// original ones do.
func originals(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/original/", http.StripPrefix("/original/", http.FileServer(http.Dir("testdata"))))
	mux.Handle("/", web.Handler(web.AutoLoopback))
	return "http" + strings.TrimPrefix(signaltest.Start(t, &server.Options{Pages: mux, Greeting: true}), "ws")
}

func TestOriginalTextPage(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		for _, weCall := range []bool{true, false} {
			url := originals(t)
			old := b.Open(url + "/original/text.html?as=old")
			old.Wait(`document.title === 'ready'`)
			ours := open(b, url+"/?as=ours&answer=1&say=first")
			waitPhase(ours, "idle")
			if weCall {
				call(ours, "old")
			} else {
				do(t, old, `call('ours')`)
			}
			old.Wait(`document.title === 'open'`)
			// Said as soon as a channel is open: it must wait for the right one.
			old.Wait(`heard.innerText === 'first'`)
			say(ours, "hello old page")
			old.Wait(`heard.innerText.includes('hello old page')`)
			do(t, old, `say('hello new page')`)
			waitChat(ours, "hello new page")
			ours.Click("#hangUpBtn")
			old.Wait(`document.title === 'closed'`)
			ours.NoErrors()
			ours.Close()
			old.Close()
		}
	})
}

func TestOriginalVideoPage(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		for _, weCall := range []bool{true, false} {
			url := originals(t)
			old := b.Open(url + "/original/video.html?as=old")
			old.Wait(`document.title === 'ready'`)
			ours := open(b, url+"/?as=ours&answer=1")
			waitPhase(ours, "idle")
			if weCall {
				call(ours, "old")
			} else {
				do(t, old, `call('ours')`)
			}
			waitPhase(ours, "talking")
			ours.WaitFrames(5)
			old.WaitFrames(5)
			old.WaitTone(tone(b))
			ours.WaitTone(tone(b))
			if weCall {
				do(t, old, `hangUp()`)
				waitChat(ours, "hung up")
			} else {
				// It has no data channel: nobody to write to.
				ours.Wait(`document.querySelector('#msgInput').disabled && document.querySelector('#msgInput').placeholder.includes('no messages')`)
				ours.Click("#hangUpBtn")
				old.Wait(`document.title === 'left'`)
			}
			waitPhase(ours, "idle")
			ours.NoErrors()
			ours.Close()
			old.Close()
		}
	})
}

// A page opens where its server is, so over the original server ours is served by
// another port and sent there: by a proxy, as one would in front of such a server.
func TestOverTheOriginalServer(t *testing.T) {
	url := relayTo(t, signaltest.Original(t, "call"))
	b := browsers.Chromium(t, nil)
	alice, bob := open(b, url+"/?as=alice"), open(b, url+"/?as=bob&answer=1")
	waitPhase(alice, "idle")
	waitPhase(bob, "idle")
	again := open(b, url+"/?as=bob")
	again.Wait(`!document.querySelector('#loginPage').hidden && document.querySelector('#loginStatus').innerText.includes('bob is taken')`)
	for range 2 {
		call(alice, "bob")
		waitPhase(alice, "talking")
		waitPhase(bob, "talking")
		bob.WaitFrames(5)
		say(alice, "over the old server")
		waitChat(bob, "over the old server")
		bob.Click("#hangUpBtn")
		waitPhase(alice, "idle")
		waitPhase(bob, "idle")
	}
	alice.NoErrors()
	bob.NoErrors()
}
