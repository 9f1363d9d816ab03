//go:build !quick

package web_test

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"testing"

	"parley/signal/web/webtest"
)

// watchCall counts the logins and resumptions of a page, keeps the phases of its calls and the
// states of its negotiation, and measures how long no RTP packet comes: a gap lasts from the first
// to the last report of statistics with one number of packets, so that a busy machine, which
// reports rarely, makes no gap longer than it is.
const watchCall = `{
	window.logins = 0;
	window.gap = 0;
	window.changes = [];
	window.WebSocket = class extends WebSocket {
		constructor(...a) {
			super(...a);
			this.addEventListener('message', e => { if (e.data.includes('"success":true')) window.logins++; });
		}
	};
	addEventListener('DOMContentLoaded', () => {
		const room = document.querySelector('#callPage');
		new MutationObserver(() => window.changes.push(room.dataset.phase)).observe(room, {attributeFilter: ['data-phase']});
	});
	const received = new Map();
	const look = async (pc, kinds) => {
		for (const s of (await pc.getStats()).values()) {
			if (s.type !== 'inbound-rtp' || !kinds.includes(s.kind)) continue;
			const last = received.get(s.ssrc);
			if (last?.packets !== s.packetsReceived) received.set(s.ssrc, {packets: s.packetsReceived, since: s.timestamp});
			else window.gap = Math.max(window.gap, s.timestamp - last.since);
		}
	};
	window.watch = async (...kinds) => {
		const [pc] = window[Symbol.for('webtest.peers')];
		pc.addEventListener('signalingstatechange', () => window.changes.push(pc.signalingState));
		for (;;) {
			await look(pc, kinds);
			await new Promise(resolve => setTimeout(resolve, 25));
		}
	};
}`

// transport is a JavaScript expression: what an ICE restart, another connection or another sender
// would change.
const transport = `(async ([pc, ...more]) => JSON.stringify([
	more.length, pc.connectionState,
	...[pc.localDescription, pc.remoteDescription].map(d => [...new Set(d.sdp.match(/^a=(ice-ufrag|fingerprint):.*$/gm))].sort()),
	[...(await pc.getStats()).values()].filter(s => s.type === 'inbound-rtp').map(s => s.ssrc).sort(),
	[...(await pc.getStats()).values()].find(s => s.type === 'transport')?.selectedCandidatePairChanges,
]))(window[Symbol.for('webtest.peers')])`

// hasGap reports whether one of the pages has received no packet for longGap since the last call.
// Audio comes in 50 packets a second, and video in more than 20.
func hasGap(t *testing.T, tabs []*webtest.Tab) bool {
	t.Helper()
	const longGap = 150 // ms; reports are up to 50 ms apart, so each gap of 300 ms is longer
	has := false
	for _, tab := range tabs {
		var ms float64
		if err := tab.Eval(`[window.gap, window.gap = 0][0]`, &ms); err != nil {
			t.Fatal(err)
		}
		has = has || ms >= longGap
	}
	return has
}

// The WebSockets of both pages break forty times during a video call, or PARLEY_CUTS times. The
// call goes on as it was: by the same connection, without a gap, and what is signaled meanwhile
// arrives. No line is lost.
//
// A busy machine has gaps of its own. So times with ten interruptions alternate with times without
// any, in which half as many frames are received, and frames with interruptions must not have gaps
// more often than frames without any.
func TestInterruptions(t *testing.T) {
	const together = 10
	interruptions := 4 * together
	if s := os.Getenv("PARLEY_CUTS"); s != "" {
		var err error
		if interruptions, err = strconv.Atoi(s); err != nil || interruptions%(2*together) != 0 { // alice mutes and unmutes
			t.Fatalf("PARLEY_CUTS=%q: want a multiple of %d", s, 2*together)
		}
	}
	each(t, func(t *testing.T, b *webtest.Browser) {
		cutter, at := newCutter(t, host(t))
		bob := open(b, at+"/?as=bob&answer=1", watchCall)
		waitPhase(bob, "idle")
		alice := open(b, at+"/?as=alice&call=bob", watchCall)
		tabs := []*webtest.Tab{alice, bob}
		received := [2]string{"'audio', 'video'", "'video'"} // alice mutes her audio
		var before [2]string
		for i, tab := range tabs {
			waitPhase(tab, "talking")
			tab.WaitFrames(5)
			tab.Wait(`window[Symbol.for('webtest.peers')][0].iceGatheringState === 'complete'`)
			do(t, tab, `void window.watch(`+received[i]+`)`)
			if err := tab.Eval(transport, &before[i]); err != nil {
				t.Fatal(err)
			}
			do(t, tab, `void (window.changes.length = 0)`)
		}
		gaps, usual, lines := 0, 0, 0
		say := func() {
			do(t, alice, fmt.Sprintf(`(i => { i.value = 'line %d'; i.form.requestSubmit(); })(document.querySelector('#msgInput'))`, lines))
			lines++
		}
		hasGap(t, tabs)
		for i := 0; i < interruptions; i += together {
			var frames [together]int
			for j := range together {
				first := bob.RemoteVideo().Frames
				cutter.cut()
				say()
				if j == 0 { // signaled by an offer
					do(t, alice, `document.querySelector('#micBtn').click()`)
					bob.Wait(fmt.Sprintf(`document.querySelector('#peerMuted').hidden === %v`, i/together%2 != 0))
				}
				for _, tab := range tabs {
					tab.Wait(fmt.Sprintf(`window.logins >= %d`, i+j+2))
				}
				if hasGap(t, tabs) {
					gaps++
				}
				frames[j] = bob.RemoteVideo().Frames - first
			}
			hasGap(t, tabs) // one that has just begun
			for _, n := range frames {
				say()
				bob.WaitFrames(n / 2)
				if hasGap(t, tabs) {
					usual++
				}
			}
		}
		t.Logf("%d of %d interruptions were followed by a gap, and half as many frames without any have %d gaps", gaps, interruptions, usual)
		if limit := 2*float64(usual) + 3*math.Sqrt(float64(gaps+4*usual)); float64(gaps) > limit { // three standard deviations
			t.Errorf("%d of %d interruptions were followed by a gap in audio or video, want at most %.0f", gaps, interruptions, limit)
		}
		for i := range lines {
			waitChat(bob, fmt.Sprintf("line %d", i))
		}
		// The mutes of alice, by an offer each, and nothing else.
		offers := map[*webtest.Tab]string{alice: "have-local-offer", bob: "have-remote-offer"}
		for i, tab := range tabs {
			var after string
			var seen struct {
				Changes []string
				Lines   int
			}
			if err := tab.Eval(transport, &after); err != nil || after != before[i] {
				t.Errorf("the transport has changed, %v:\n%s\n%s", err, before[i], after)
			}
			if err := tab.Eval(`({Changes: window.changes, Lines: document.querySelectorAll('#chatarea .body').length})`, &seen); err != nil {
				t.Fatal(err)
			}
			if want := slices.Repeat([]string{offers[tab], "stable"}, interruptions/together); !slices.Equal(seen.Changes, want) {
				t.Errorf("the call has changed: %v, want %v", seen.Changes, want)
			}
			if seen.Lines != lines {
				t.Errorf("there are %d lines, want %d", seen.Lines, lines)
			}
			tab.NoErrors("WebSocket", "ws://")
		}
		alice.Click("#hangUpBtn") // both are in the same call still
		waitChat(bob, "alice hung up")
	})
}

// While the server cannot be reached, the pages say so, the call goes on, and what is to be
// signaled waits for the server. A page that is away rings when it is back.
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
