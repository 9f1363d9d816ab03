//go:build !quick

package web_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"parley/signal/web/webtest"
)

// A link of another origin sends nothing before a click but the requests for the files of the page,
// and opens no device: in whatever way it is followed.
func TestLinkOfAnotherOrigin(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		direct := host(t)
		mallory := open(b, direct+"/?as=mallory&answer=1")
		waitPhase(mallory, "idle")
		capture, at := newCutter(t, direct)
		const request = "/?as=victim&call=mallory&say=secret&files=1&answer=1"
		elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/redirect" {
				http.Redirect(w, r, at+request, http.StatusFound)
				return
			}
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, `<!doctype html><title>elsewhere</title><a id="link" href="`+at+request+`">a call</a> <a id="redirect" href="/redirect">another</a>`)
		}))
		defer elsewhere.Close()
		u, err := url.Parse(elsewhere.URL)
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range []string{"localhost", "127.0.0.1"} { // another site, and another origin of the same
			for _, link := range []string{"#link", "#redirect"} {
				t.Logf("%s of %s", link, host)
				tab := open(b, "http://"+host+":"+u.Port(), countDevices)
				tab.Click(link)
				tab.Wait(`document.querySelector('#loginBtn')?.innerText === 'Call mallory' && document.querySelector('#usernameInput').value === 'victim'`)
				tab.Wait(`document.querySelector('#request').innerText.includes('secret')`)
				tab.Wait(`new Promise(resolve => requestIdleCallback(() => requestIdleCallback(() => resolve(true))))`)
				before := capture.capture()
				if strings.Contains(before, "Upgrade: ") || !strings.Contains(before, "GET "+request) || strings.Count(before, "\r\n\r\n") != strings.Count(before, "GET ") {
					t.Errorf("before the click the page sent:\n%s", before)
				}
				if n := len(tab.Peers()); n != 0 {
					t.Errorf("before the click there are %d connections", n)
				}
				tab.Wait(`window[Symbol.for('devices')].length === 0`)
				tab.Click("#loginBtn")
				waitPhase(tab, "talking")
				waitChat(mallory, "secret")
				if !strings.Contains(capture.capture(), "Upgrade: websocket") {
					t.Error("the capture misses the WebSocket")
				}
				tab.Click("#hangUpBtn")
				call(mallory, "victim")
				waitPhase(tab, "ringing") // in spite of answer=1
				tab.Close()
				waitPhase(mallory, "idle")
				capture.forget()
			}
		}
	})
}

// A link with ?answer=1 or ?as= alone waits for a click, too.
func TestLinksWithoutPermission(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		at := hostWithoutPermission(t)
		for query, button := range map[string]string{"?as=bob&answer=1": "Be available", "?as=bob": "Sign in", "": "Sign in", "?call=alice": "Call alice"} {
			bob := open(b, at+"/"+query, countsSockets)
			bob.Wait(`document.querySelector('#loginBtn').innerText === ` + quote(button) + ` && window.sockets === 0`)
			bob.Close()
		}
		bob := open(b, at+"/?as=bob&answer=1")
		bob.Click("#loginBtn")
		waitPhase(bob, "idle")
		alice := open(b, at+"/?call=bob")
		alice.Type("#usernameInput", "alice")
		alice.Press(webtest.Enter)
		answer(bob)
		waitPhase(alice, "talking")
		alice.WaitFrames(3)
		hello := open(b, at+"/hello?as=Gandalf&call=1", countsSockets)
		hello.Wait(`!document.querySelector('#choice').hidden && window.sockets === 0`)
		saruman := open(b, at+"/hello?as=Saruman")
		saruman.Click("#sarumanBtn")
		saruman.Wait(`document.querySelector('#status').innerText.includes('waiting')`)
		hello.Click("#gandalfBtn") // and calls, as the address requests
		waitHeard(saruman, "Gandalf", 1)
	})
}

// A page of another site that goes back in the history, to an address that the user has typed, has
// no call made by it.
func TestHistoryBack(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		at := host(t)
		bob := open(b, at+"/?as=bob&answer=1")
		waitPhase(bob, "idle")
		elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, `<!doctype html><title>elsewhere</title>`)
		}))
		defer elsewhere.Close()
		alice := open(b, at+"/?as=alice&call=bob", countsSockets)
		waitPhase(alice, "talking")
		alice.Go(elsewhere.URL)
		waitPhase(bob, "idle")
		if err := alice.Eval(`history.back()`, nil); err != nil {
			t.Log(err) // the document is left before it answers
		}
		// Chromium restores the page as it was left, and Firefox loads it again.
		if b.Name() == "chromium" {
			waitPhase(alice, "idle")
			waitChat(alice, "Call with bob ended")
			call(alice, "bob")
		} else {
			alice.Wait(`document.querySelector('#loginBtn')?.innerText === 'Call bob' && window.sockets === 0`)
			alice.Click("#loginBtn")
		}
		waitPhase(alice, "talking")
		if n := len(bob.Peers()); n != 2 {
			t.Errorf("bob had %d calls, want the one before and the one by a click", n)
		}
	})
}
