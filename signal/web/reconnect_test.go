//go:build !quick

package web_test

import (
	"net"
	"net/http"
	"testing"

	"parley/signal/server"
	"parley/signal/web"
	"parley/signal/web/webtest"
)

// serveAt runs our server on an address; stop ends it.
func serveAt(t *testing.T, address string) (at string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	handler := server.New(&server.Options{Pages: web.Handler(web.AutoLoopback)})
	server := &http.Server{Handler: handler}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(l) // "closed", by stop
	}()
	return l.Addr().String(), func() {
		_ = server.Close()
		_ = handler.Close()
		<-ended
	}
}

// The server goes and comes back. The page says so, signs in again under the same
// name, and a call in progress goes on.
func TestServerComesBack(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		address, stop := serveAt(t, "127.0.0.1:0")
		at := "http://" + address
		carol := open(b, at+"/?as=carol&video=0&audio=0")
		waitPhase(carol, "idle")
		alice, bob := inCall(b, at)
		bob.WaitFrames(3)
		stop()
		carol.Wait(`document.querySelector('#status').innerText.includes('Server lost')`)
		bob.Wait(`document.querySelector('#facts').innerText.includes('server lost')`)
		bob.WaitFrames(10)
		say(alice, "without a server")
		waitChat(bob, "without a server")
		_, stop = serveAt(t, address)
		defer stop()
		carol.Wait(`document.querySelector('#status').innerText === 'Ready'`)
		for _, tab := range []*webtest.Tab{alice, bob} {
			tab.Wait(`!document.querySelector('#facts').innerText.includes('server lost')`)
			waitPhase(tab, "talking")
			if n := len(tab.Peers()); n != 1 {
				t.Errorf("the call did not go on: %d connections", n)
			}
		}
		alice.Click("#hangUpBtn")
		call(carol, "bob")
		waitPhase(carol, "talking")
		carol.WaitFrames(3)
		alice.NoErrors("WebSocket", address)
		bob.NoErrors("WebSocket", address)
	})
}

func TestServerAbsent(t *testing.T) {
	b := browsers.Chromium(t, nil)
	address, stop := serveAt(t, "127.0.0.1:0")
	tab := open(b, "http://"+address)
	stop()
	tab.Type("#usernameInput", "alice")
	tab.Click("#loginBtn")
	tab.Wait(`/does not answer/.test(document.querySelector('#loginStatus').innerText) && !document.querySelector('#loginBtn').disabled`)
	_, stop = serveAt(t, address)
	defer stop()
	tab.Click("#loginBtn")
	waitPhase(tab, "idle")
}
