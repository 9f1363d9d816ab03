//go:build !quick

package web_test

import (
	"fmt"
	"strings"
	"testing"

	"parley/signal/server"
	"parley/signal/signaltest"
	"parley/signal/web"
	"parley/signal/web/webtest"
)

// spoilAnswers puts into the next window.spoils answers of a page what no browser applies:
// by window.spoil "rubbish" before anything of it is applied, by "role" in Chromium only
// when much of it is.
const spoilAnswers = `{
	window.spoils = 0;
	const spoilt = {
		rubbish: sdp => sdp.replaceAll('a=fingerprint:sha-256 ', 'a=fingerprint:sha-256 x'),
		role: sdp => sdp.replace(/a=setup:\w+/g, 'a=setup:actpass'),
	};
	window.WebSocket = class extends WebSocket {
		send(text) {
			const m = JSON.parse(text);
			if (m.answer && window.spoils > 0) {
				window.spoils--;
				m.answer.sdp = spoilt[window.spoil](m.answer.sdp);
			}
			super.send(JSON.stringify(m));
		}
	};
}`

// An answer in mid-call that a page cannot apply leaves the call as it was, and is
// followed by another offer; if that does not help, by another connection, and if
// that does not help either, the call ends. Both pages show all of it.
func TestRejectedAnswer(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		// More calls in a few seconds than a person makes, with all of Firefox's candidates.
		at := "http" + strings.TrimPrefix(signaltest.Start(t, &server.Options{Pages: web.Handler(web.AutoLoopback), Limits: server.NoLimits()}), "ws")
		alice, bob := open(b, at+"/?as=alice&answer=1", spoilAnswers), open(b, at+"/?as=bob")
		waitPhase(alice, "idle")
		waitPhase(bob, "idle")
		half := 1
		if b.Name() == "chromium" {
			half = 2
		}
		for _, c := range []struct {
			name, spoil string
			spoils      string
			connections int // 0: the call ends
		}{
			{"one", "rubbish", "1", 1},
			{"half applied", "role", "1", half},
			{"two", "rubbish", "2", 2},
			{"all", "rubbish", "Infinity", 0},
		} {
			t.Logf("bad answers: %s", c.name)
			before := len(bob.Peers())
			call(bob, "alice")
			bob.WaitFrames(3)
			alice.WaitFrames(3)
			do(t, alice, `void (window.spoil = '`+c.spoil+`', window.spoils = `+c.spoils+`)`)
			failConnection(t, bob)
			if c.connections == 0 {
				waitNotice(bob, "cannot agree")
				waitPhase(bob, "idle")
				waitPhase(alice, "idle")
				do(t, alice, `void (window.spoils = 0)`)
				continue
			}
			if c.connections == 1 {
				waitChat(bob, "cannot take the answer of alice")
			} else {
				waitChat(bob, "cannot go on by the connection with alice")
			}
			waitChat(alice, "Our answer was not taken by bob")
			bob.Wait(fmt.Sprintf(`(made => made.length === %d && made.slice(0, -1).every(p => p.signalingState === 'closed'))(window[Symbol.for('webtest.peers')])`, before+c.connections))
			for _, tab := range []*webtest.Tab{alice, bob} {
				waitPhase(tab, "talking")
				tab.WaitFrames(5)
			}
			say(alice, "after "+c.name)
			waitChat(bob, "after "+c.name)
			say(bob, "and back after "+c.name)
			waitChat(alice, "and back after "+c.name)
			alice.Click("#hangUpBtn")
			waitPhase(bob, "idle")
			do(t, bob, `document.querySelector('#chatarea').replaceChildren()`)
			do(t, alice, `document.querySelector('#chatarea').replaceChildren()`)
		}
		call(bob, "alice")
		bob.WaitFrames(3)
		alice.NoErrors()
		bob.NoErrors()
	})
}

// An offer in mid-call that a page cannot apply changes nothing. A peer that does not know
// the extension gets an answer by which nothing changes, and can offer again. An offer that
// restarts ICE has no such answer.
func TestRejectedOfferOfAnOriginalPage(t *testing.T) {
	const noFingerprint = `offer.sdp.replaceAll('a=fingerprint:sha-256 ', 'a=fingerprint:sha-256 x')`
	chromium, firefox := browsers.Chromium(t, nil), browsers.Firefox(t, nil)
	for _, c := range []struct {
		ours, old *webtest.Browser
		weCall    bool
	}{{chromium, firefox, true}, {chromium, firefox, false}, {firefox, chromium, true}} {
		t.Run(c.ours.Name()+map[bool]string{true: " calls", false: " is called"}[c.weCall], func(t *testing.T) {
			ours, old := withOriginal(t, c.ours.For(t), c.old.For(t), c.weCall)
			offers := func(change string) {
				t.Helper()
				do(t, old, `pc.createOffer().then(async offer => {
					await pc.setLocalDescription(offer);
					send({type: 'offer', offer: {type: 'offer', sdp: `+change+`}});
				})`)
			}
			goesOn := func() {
				t.Helper()
				waitPhase(ours, "talking")
				ours.WaitFrames(5)
				old.WaitFrames(5)
			}
			do(t, old, `(() => {
				window.answers = [];
				socket.addEventListener('message', e => { if (e.data.includes('"answer"')) answers.push(JSON.parse(e.data).answer); });
			})()`)
			for rejections := range 2 {
				do(t, old, `void pc.addTransceiver('audio')`)
				offers(noFingerprint)
				waitNotice(ours, "A change that old wanted was not made, because this browser cannot take it")
				ours.Click("#noticeBtn")
				old.Wait(fmt.Sprintf(`pc.signalingState === 'stable' && answers.length === %d && !answers.at(-1).parley`, rejections+1))
				goesOn()
			}
			do(t, old, `void (window.added = pc.addTransceiver('audio'))`)
			offers(`offer.sdp`)
			old.Wait(`added.currentDirection?.includes('send')`)
			goesOn()
			ours.Wait(`import('/sdp.js').then(({hasUnchanged}) => {
				const {currentLocalDescription: {sdp: ours}, currentRemoteDescription: {sdp: theirs}} = window[Symbol.for('webtest.peers')].at(-1);
				const answered = offer => hasUnchanged(offer, ours, theirs);
				return answered(theirs) && !answered(theirs.replace(/^a=ice-ufrag:/gm, '$&new')) && !answered('v=0\r\n');
			})`)
			if n := len(ours.Peers()); n != 1 {
				t.Errorf("%d connections", n)
			}
			ours.Click("#hangUpBtn")
			old.Wait(`document.title === 'left'`)
			ours.NoErrors()
			old.NoErrors("favicon.ico")
			ours.Close()
			old.Close()
		})
	}
}

// withOriginal is a call of our page with the original video page.
func withOriginal(t *testing.T, ourBrowser, oldBrowser *webtest.Browser, weCall bool) (ours, old *webtest.Tab) {
	t.Helper()
	url := originals(t)
	old = oldBrowser.Open(url + "/original/video.html?as=old")
	old.Wait(`document.title === 'ready'`)
	ours = open(ourBrowser, url+"/?as=ours&answer=1")
	waitPhase(ours, "idle")
	if weCall {
		call(ours, "old")
	} else {
		do(t, old, `call('ours')`)
	}
	waitPhase(ours, "talking")
	return ours, old
}
