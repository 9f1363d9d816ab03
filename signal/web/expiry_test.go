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

// A page whose token expires says so once, and does not connect again; one that is given another token in
// its address stays signed in.
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

// A call goes on when the session of one of the two expires; afterwards its page says why it is signed out.
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
