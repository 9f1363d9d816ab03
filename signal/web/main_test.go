package web_test

import (
	"strings"
	"testing"

	"go.uber.org/goleak"

	"parley/signal/server"
	"parley/signal/signaltest"
	"parley/signal/web"
	"parley/signal/web/webtest"
)

// browsers are started once for all tests.
var browsers webtest.Pool

func TestMain(m *testing.M) { goleak.VerifyTestMain(browsers.Around(m)) }

// host runs our server with the pages and returns their address.
func host(t *testing.T) string {
	t.Helper()
	return "http" + strings.TrimPrefix(signaltest.Start(t, &server.Options{
		Pages: web.Handler(web.AutoLoopback), IsOwnName: func(name string) bool { return name == "parley.test" },
	}), "ws")
}

// hostWithoutPermission runs our server with pages that do nothing by their address alone.
func hostWithoutPermission(t *testing.T) string {
	t.Helper()
	return "http" + strings.TrimPrefix(signaltest.Start(t, &server.Options{Pages: web.Handler(web.AutoNever)}), "ws")
}

// each runs a test in both browsers.
func each(t *testing.T, test func(t *testing.T, b *webtest.Browser)) {
	t.Run("chromium", func(t *testing.T) { test(t, browsers.Chromium(t, nil)) })
	t.Run("firefox", func(t *testing.T) { test(t, browsers.Firefox(t, nil)) })
}

// open opens a page and keeps its connections for Stats and Peers.
func open(b *webtest.Browser, url string, preload ...string) *webtest.Tab {
	tab := b.NewTab()
	tab.KeepPeers()
	for _, js := range preload {
		tab.Preload(js)
	}
	tab.Go(url)
	return tab
}

// inCall is alice in a call with bob, whom she has called; preload is hers.
func inCall(b *webtest.Browser, at string, preload ...string) (alice, bob *webtest.Tab) {
	bob = open(b, at+"/?as=bob&answer=1")
	waitPhase(bob, "idle")
	alice = open(b, at+"/?as=alice&call=bob", preload...)
	waitPhase(alice, "talking")
	waitPhase(bob, "talking")
	return alice, bob
}

// failConnection has a page believe that its connection has failed, and recovered at once. In a
// call that it made, it makes another offer.
func failConnection(t *testing.T, tab *webtest.Tab) {
	t.Helper()
	do(t, tab, `(pc => {
		Object.defineProperty(pc, 'connectionState', {value: 'failed', configurable: true});
		pc.onconnectionstatechange();
		delete pc.connectionState;
		pc.onconnectionstatechange();
	})(window[Symbol.for('webtest.peers')].at(-1))`)
}

// noRestarts has a page make that offer without an ICE restart.
const noRestarts = `RTCPeerConnection.prototype.restartIce = () => {};`

// signIn signs in as a person would.
func signIn(tab *webtest.Tab, name string) {
	tab.Type("#usernameInput", name)
	tab.Click("#loginBtn")
	tab.Wait(`!document.querySelector('#callPage').hidden && document.querySelector('#loginPage').hidden`)
}

func call(tab *webtest.Tab, name string) {
	tab.Type("#callToUsernameInput", name)
	tab.Click("#callBtn")
}

// answer answers the call that rings, with audio and video.
func answer(tab *webtest.Tab) {
	waitPhase(tab, "ringing")
	tab.Click("#acceptBtn")
}

func say(tab *webtest.Tab, text string) {
	tab.Type("#msgInput", text)
	tab.Click("#sendMsgBtn")
}

// waitPhase waits until the page is signed in and in that phase of a call.
func waitPhase(tab *webtest.Tab, phase string) {
	tab.Wait(`(room => !room.hidden && room.dataset.phase === '` + phase + `')(document.querySelector('#callPage'))`)
}

func waitChat(tab *webtest.Tab, text string) {
	tab.Wait(`document.querySelector('#chatarea').innerText.includes(` + quote(text) + `)`)
}

func waitNotice(tab *webtest.Tab, text string) {
	tab.Wait(`document.querySelector('#notice').checkVisibility() && document.querySelector('#notice').innerText.includes(` + quote(text) + `)`)
}

// tone is what the fake microphone of a browser plays, in Hz.
func tone(b *webtest.Browser) float64 {
	if b.Name() == "firefox" {
		return 440
	}
	return 400
}

func count(t *testing.T, got []webtest.Peer, state string) int {
	t.Helper()
	n := 0
	for _, p := range got {
		if p.Signaling == state {
			n++
		}
	}
	return n
}

func do(t *testing.T, tab *webtest.Tab, js string) {
	t.Helper()
	if err := tab.Eval(js, nil); err != nil {
		t.Fatal(err)
	}
}

// quote makes a JavaScript string literal of anything.
func quote(s string) string {
	var out strings.Builder
	out.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			out.WriteByte('\\')
			out.WriteRune(r)
		case r < 0x20 || r == 0x202e:
			out.WriteString(`\u` + string("0123456789abcdef"[r>>12&15]) + string("0123456789abcdef"[r>>8&15]) + string("0123456789abcdef"[r>>4&15]) + string("0123456789abcdef"[r&15]))
		default:
			out.WriteRune(r)
		}
	}
	out.WriteByte('"')
	return out.String()
}
