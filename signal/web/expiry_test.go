//go:build !quick

package web_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"parley/signal"
	"parley/signal/server"
	"parley/signal/signaltest"
	"parley/signal/web"
	"parley/signal/web/webtest"
)

// deadlineAuth accepts tokens that are the time at which they expire, in milliseconds since 1970.
type deadlineAuth struct{}

func (deadlineAuth) Authorize(_ context.Context, r signal.LoginRequest) (signal.Identity, error) {
	ms, err := strconv.ParseInt(r.Token, 10, 64)
	if err != nil {
		return signal.Identity{}, &signal.Denied{Reason: "a token is needed"}
	}
	return signal.Identity{Expires: time.UnixMilli(ms)}, nil
}

// newToken returns a token that expires after life.
func newToken(life time.Duration) string {
	return strconv.FormatInt(time.Now().Add(life).UnixMilli(), 10)
}

func hostWithTokens(t *testing.T) (at string) {
	t.Helper()
	return "http" + strings.TrimPrefix(signaltest.Start(t, &server.Options{Pages: web.Handler(web.AutoLoopback), Auth: deadlineAuth{}}), "ws")
}

// countsSockets counts the WebSockets of a page.
const countsSockets = `(() => {
	const Native = WebSocket;
	window.sockets = 0;
	window.WebSocket = class extends Native {
		constructor(...parameters) {
			super(...parameters);
			window.sockets++;
		}
	};
})()`

// giveToken gives an open page another token, in its address.
func giveToken(t *testing.T, tab *webtest.Tab, life time.Duration) {
	t.Helper()
	do(t, tab, `void (location.hash = 'token=`+newToken(life)+`')`)
	tab.Wait(`location.hash === ''`)
}

func waitExpired(tab *webtest.Tab) {
	tab.Wait(`!document.querySelector('#loginPage').hidden && /has expired/.test(document.querySelector('#loginStatus').innerText)`)
}

// A page whose token expires says so once, and does not connect again; one that is given another
// token in its address stays signed in.
func TestTokenExpires(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		at := hostWithTokens(t)
		alice := open(b, at+"/?as=alice&video=0&audio=0#token="+newToken(time.Hour), countsSockets)
		waitPhase(alice, "idle")
		carol := open(b, at+"/?as=carol&video=0&audio=0#token="+newToken(time.Hour), countsSockets)
		waitPhase(carol, "idle")
		giveToken(t, carol, 6*time.Second)
		giveToken(t, carol, time.Hour)
		giveToken(t, alice, 6*time.Second) // expires after the one that carol had
		waitExpired(alice)
		alice.Wait(`window.sockets === 1`)
		waitPhase(carol, "idle")
		carol.Wait(`window.sockets === 1`)
		carol.NoErrors()
	})
}

// The token is taken out of the address; a reload has it still.
func TestTokenLeavesTheAddress(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		alice := open(b, hostWithTokens(t)+"/?as=alice&video=0&audio=0#token="+newToken(time.Hour))
		waitPhase(alice, "idle")
		alice.Wait(`!location.href.includes('token') && !location.href.includes('#')`)
		alice.Reload()
		waitPhase(alice, "idle")
		alice.NoErrors()
	})
}

// A call goes on when the session of one of the two expires; afterwards its page says why it is
// signed out.
func TestTokenExpiresInCall(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		at := hostWithTokens(t)
		bob := open(b, at+"/?as=bob&answer=1#token="+newToken(time.Hour))
		waitPhase(bob, "idle")
		alice := open(b, at+"/?as=alice&call=bob#token="+newToken(time.Hour))
		waitPhase(alice, "talking")
		waitPhase(bob, "talking")
		bob.WaitFrames(1)
		giveToken(t, alice, 2*time.Second)
		waitNotice(alice, "has expired")
		bob.WaitFrames(5)
		say(alice, "still here")
		waitChat(bob, "still here")
		waitPhase(bob, "talking")
		alice.Click("#hangUpBtn")
		waitExpired(alice)
		waitPhase(bob, "idle")
		bob.NoErrors()
	})
}

// A name that is typed with spaces around it, or not composed, is the name that the server knows.
func TestTypedNames(t *testing.T) {
	b := browsers.Chromium(t, nil)
	at := host(t)
	bob := open(b, at+"/?as=Jose%CC%81%20%20Mari%CC%81a&video=0&audio=0&answer=1")
	waitPhase(bob, "idle")
	if got := bob.Text("#me"); got != "José María" {
		t.Errorf("signed in as %q", got)
	}
	alice := open(b, at+"/?video=0&audio=0")
	signIn(alice, " alice ")
	waitPhase(alice, "idle")
	call(alice, "José María ")
	waitPhase(bob, "talking")
	alice.NoErrors()
}

// sameUser verifies that all logins are of one user.
type sameUser struct{}

func (sameUser) Authorize(context.Context, signal.LoginRequest) (signal.Identity, error) {
	return signal.Identity{Subject: "alice"}, nil
}

// A user who signs in once more takes the name over. The first page says so, and does not connect
// again.
func TestSignedInElsewhere(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		at := "http" + strings.TrimPrefix(signaltest.Start(t, &server.Options{Pages: web.Handler(web.AutoLoopback), Auth: sameUser{}}), "ws")
		first := open(b, at+"/?as=alice", countsSockets)
		waitPhase(first, "idle")
		second := open(b, at+"/?as=alice")
		waitPhase(second, "idle")
		first.Wait(`!document.querySelector('#loginPage').hidden && /another tab or on another device/.test(document.querySelector('#loginStatus').innerText)`)
		first.Wait(`window.sockets === 1`)
		first.Click("#loginBtn") // and takes it back
		waitPhase(first, "idle")
		second.Wait(`/another tab or on another device/.test(document.querySelector('#loginStatus').innerText)`)
		first.NoErrors()
		second.NoErrors()
	})
}

// A name that somebody else has taken while the page was away for longer than its session lasted is
// not requested again and again.
func TestNameTakenMeanwhile(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		direct := "http" + strings.TrimPrefix(signaltest.Start(t, &server.Options{Pages: web.Handler(web.AutoLoopback), Resume: time.Second}), "ws")
		cutter, at := newCutter(t, direct)
		first := open(b, at+"/?as=alice")
		waitPhase(first, "idle")
		cutter.setDown(true)
		first.Wait(`document.querySelector('#status').innerText.includes('Server lost')`)
		second := open(b, direct+"/?as=alice")
		waitPhase(second, "idle")
		cutter.setDown(false)
		first.Wait(`!document.querySelector('#loginPage').hidden && document.querySelector('#loginStatus').innerText === 'The name alice is taken. Choose another one.'`)
		first.Wait(`!document.querySelector('#loginBtn').disabled`)
		second.NoErrors()
	})
}
