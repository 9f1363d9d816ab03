package web_test

import (
	"fmt"
	"testing"

	"parley/signal/web/webtest"
)

// countLogins counts the logins and resumptions of a page, keeps the phases of its calls, and measures
// the longest time between two frames of the remote video in ms.
const countLogins = `{
	window.logins = 0;
	window.phases = [];
	window.gap = 0;
	window.WebSocket = class extends WebSocket {
		constructor(...a) {
			super(...a);
			this.addEventListener('message', e => { if (e.data.includes('"success":true')) window.logins++; });
		}
	};
	addEventListener('DOMContentLoaded', () => {
		const room = document.querySelector('#callPage'), video = document.querySelector('#remoteVideo');
		new MutationObserver(() => window.phases.push(room.dataset.phase)).observe(room, {attributeFilter: ['data-phase']});
		let last = 0;
		const frame = now => {
			if (last) window.gap = Math.max(window.gap, now - last);
			last = now;
			video.requestVideoFrameCallback(frame);
		};
		video.requestVideoFrameCallback(frame);
	});
}`

// gap returns the longest time between two frames of the remote video since the last call.
func gap(t *testing.T, tab *webtest.Tab) (ms float64) {
	t.Helper()
	if err := tab.Eval(`[window.gap, window.gap = 0][0]`, &ms); err != nil {
		t.Fatal(err)
	}
	return ms
}

// The WebSockets of both pages break a hundred times during a video call. The call goes on without a
// gap, no line is lost, and what is signaled meanwhile arrives.
func TestInterruptions(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		cutter, at := newCutter(t, host(t))
		bob := open(b, at+"/?as=bob&answer=1", countLogins)
		waitPhase(bob, "idle")
		alice := open(b, at+"/?as=alice&call=bob", countLogins)
		tabs := []*webtest.Tab{alice, bob}
		var usual [2]float64 // gap without interruptions, in ms
		for i, tab := range tabs {
			waitPhase(tab, "talking")
			tab.WaitFrames(5)
			gap(t, tab)
			tab.WaitFrames(50)
			usual[i] = gap(t, tab)
			do(t, tab, `void (window.phases.length = 0)`)
		}
		const interruptions = 100
		for i := range interruptions {
			cutter.cut()
			do(t, alice, fmt.Sprintf(`(i => { i.value = 'line %d'; i.form.requestSubmit(); })(document.querySelector('#msgInput'))`, i))
			if i%10 == 0 { // signaled by an offer
				do(t, alice, `document.querySelector('#micBtn').click()`)
				bob.Wait(fmt.Sprintf(`document.querySelector('#peerMuted').hidden === %v`, i%20 != 0))
			}
			for _, tab := range tabs {
				tab.Wait(fmt.Sprintf(`window.logins >= %d`, i+2))
			}
		}
		for i := range interruptions {
			waitChat(bob, fmt.Sprintf("line %d", i))
		}
		for i, tab := range tabs {
			// A busy machine has gaps without interruptions, too.
			if got := gap(t, tab); got > 2000+5*usual[i] {
				t.Errorf("the longest gap is %.0f ms, and without interruptions %.0f ms", got, usual[i])
			}
			var seen struct {
				Phases []string
				Lines  int
			}
			if err := tab.Eval(`({Phases: window.phases, Lines: document.querySelectorAll('#chatarea .body').length})`, &seen); err != nil {
				t.Fatal(err)
			}
			if len(seen.Phases) > 0 || seen.Lines != interruptions {
				t.Errorf("the phase changed to %v, and there are %d lines", seen.Phases, seen.Lines)
			}
			if n := len(tab.Peers()); n != 1 {
				t.Errorf("got %d connections, want 1", n)
			}
			tab.NoErrors("WebSocket", "ws://")
		}
		alice.Click("#hangUpBtn") // both are in the same call still
		waitChat(bob, "alice hung up")
	})
}

// While the server cannot be reached, the pages say so, the call goes on, and what is to be signaled
// waits for the server. A page that is away rings when it is back.
func TestServerCannotBeReached(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		direct := host(t)
		cutter, at := newCutter(t, direct)
		alice, bob := inCall(b, at)
		carol := open(b, at+"/?as=carol")
		waitPhase(carol, "idle")
		cutter.setDown(true)
		for _, tab := range []*webtest.Tab{alice, bob} {
			tab.Wait(`document.querySelector('#facts').innerText.includes('server lost')`)
		}
		carol.Wait(`document.querySelector('#status').innerText.includes('Server lost')`)
		dave := open(b, direct+"/?as=dave&call=carol")
		waitPhase(dave, "calling")
		alice.Click("#micBtn")
		cutter.setDown(false)
		waitPhase(carol, "ringing")
		carol.Click("#declineBtn")
		waitChat(dave, "carol is busy or declined")
		bob.Wait(`document.querySelector('#peerMuted').innerText === 'alice: microphone muted'`)
		for _, tab := range []*webtest.Tab{alice, bob} {
			waitPhase(tab, "talking")
			tab.Wait(`!document.querySelector('#facts').innerText.includes('server lost')`)
			tab.WaitFrames(5)
		}
	})
}
