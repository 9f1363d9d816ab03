//go:build !quick

package web_test

import (
	"strings"
	"testing"

	"parley/signal/web/webtest"
)

// A call rings: nothing of the callee is sent and no device opens before an answer, and the caller
// learns of a refusal.
func TestRinging(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		at := host(t)
		bob := open(b, at+"/?as=bob", keepFrames, countDevices)
		waitPhase(bob, "idle")
		alice := open(b, at+"/?as=alice")
		waitPhase(alice, "idle")

		call(alice, "bob")
		waitPhase(bob, "ringing")
		bob.Wait(`document.querySelector('#ringing').checkVisibility() && document.querySelector('#ringing').innerText.includes('alice is calling') &&
			document.title === '\u2068alice\u2069 is calling · Parley'`)
		bob.Wait(`window[Symbol.for('contexts')].length === 1`) // the ring tone
		bob.Click("#declineBtn")
		waitChat(alice, "declined")
		waitPhase(alice, "idle")
		bob.Wait(`window[Symbol.for('contexts')].every(c => c.state === 'closed') && document.title === 'Parley'`)

		call(alice, "bob")
		waitPhase(bob, "ringing")
		alice.Click("#hangUpBtn")
		waitChat(bob, "gave up")
		waitPhase(bob, "idle")

		call(alice, "bob")
		waitPhase(bob, "ringing")
		do(t, bob, again("offer"))
		if n := len(bob.Peers()); n != 3 {
			t.Errorf("got %d connections after three calls and a duplicate offer, want 3", n)
		}
		if alice.RemoteVideo().Frames != 0 {
			t.Error("the callee was visible before the answer")
		}
		bob.Wait(`window[Symbol.for('devices')].length === 0`)
		bob.Wait(`document.activeElement.id === 'acceptBtn'`)
		bob.Press(webtest.Enter) // the focus is on the answer
		waitPhase(alice, "talking")
		alice.WaitFrames(3)
		bob.Wait(`window[Symbol.for('devices')].length === 2`)
		alice.Click("#hangUpBtn")
		waitPhase(bob, "idle")
		bob.Wait(devicesAreClosed)

		call(alice, "bob")
		waitPhase(bob, "ringing")
		bob.Click("#acceptAudioBtn")
		waitPhase(alice, "talking")
		alice.WaitTone(tone(b))
		bob.WaitFrames(3)
		bob.Wait(`window[Symbol.for('devices')].filter(track => track.readyState === 'live').every(track => track.kind === 'audio')`)
		alice.Wait(`document.querySelector('#avatar').checkVisibility()`)
		bob.Click("#camBtn") // and later with video
		alice.WaitFrames(3)
		alice.Click("#hangUpBtn")
		waitPhase(bob, "idle")
		bob.Wait(devicesAreClosed)

		bob.Go(at + "/?as=bob&answer=1")
		waitPhase(bob, "idle")
		call(alice, "bob")
		waitPhase(bob, "talking")
		alice.NoErrors()
		bob.NoErrors()
	})
}

// countDevices keeps the tracks of the devices that a page has opened, and its audio contexts.
const countDevices = `if (navigator.mediaDevices) {
	const tracks = [], contexts = [];
	Object.defineProperty(window, Symbol.for('devices'), {value: tracks});
	Object.defineProperty(window, Symbol.for('contexts'), {value: contexts});
	const open = MediaDevices.prototype.getUserMedia;
	MediaDevices.prototype.getUserMedia = async function (constraints) {
		const stream = await open.call(this, constraints);
		tracks.push(...stream.getTracks());
		return stream;
	};
	window.AudioContext = class extends AudioContext { constructor(...a) { super(...a); contexts.push(this); } };
}`

// devicesAreClosed holds if all devices that were opened are closed.
const devicesAreClosed = `window[Symbol.for('devices')].every(track => track.readyState === 'ended')`

func TestBusy(t *testing.T) {
	b := browsers.Chromium(t, nil)
	at := host(t)
	alice, bob := inCall(b, at)
	carol := open(b, at+"/?as=carol&answer=1&call=bob")
	waitChat(carol, "bob is busy")
	waitChat(bob, "carol called")
	waitPhase(bob, "talking")
	before := bob.RemoteVideo().Frames
	bob.WaitFrames(3)
	if bob.RemoteVideo().Frames <= before {
		t.Error("the call did not go on")
	}
	// A call to somebody else hangs up first.
	call(bob, "carol")
	waitChat(alice, "hung up")
	waitPhase(carol, "talking")
	carol.WaitFrames(3)
	for _, tab := range []*webtest.Tab{alice, bob, carol} {
		tab.NoErrors()
	}
}

// A call to somebody else declines the one that rings, and a call to the caller answers it.
func TestCallWhileACallRings(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		at := host(t)
		alice, bob := open(b, at+"/?as=alice"), open(b, at+"/?as=bob")
		waitPhase(alice, "idle")
		waitPhase(bob, "idle")
		carol := open(b, at+"/?as=carol&call=bob")
		waitPhase(bob, "ringing")
		call(bob, "alice")
		waitChat(carol, "bob is busy or declined")
		waitPhase(alice, "ringing")
		alice.Type("#callToUsernameInput", "bob")
		alice.DoubleClick("#callBtn")
		for _, tab := range []*webtest.Tab{alice, bob} {
			waitPhase(tab, "talking")
			tab.WaitFrames(3)
		}
		if a, b := len(alice.Peers()), len(bob.Peers()); a != 1 || b != 2 {
			t.Errorf("alice made %d connections, and bob %d; want 1 and 2", a, b)
		}
		alice.NoErrors()
		bob.NoErrors()
		carol.NoErrors()
	})
}

// noLeaves has a page send the end of candidates, which says nothing, in place of each leave:
// messages are numbered, so none can be left out.
const noLeaves = `{
	const send = WebSocket.prototype.send;
	WebSocket.prototype.send = function (text) {
		const m = JSON.parse(text);
		send.call(this, m.type === 'leave' ? JSON.stringify({...m, type: 'candidate', candidate: null}) : text);
	};
}`

// A second offer of the same name from another connection is a page that was
// loaded anew, and its leave may have been lost.
func TestReplacedCall(t *testing.T) {
	b := browsers.Chromium(t, nil)
	at := host(t)
	bob := open(b, at+"/?as=bob&answer=1")
	waitPhase(bob, "idle")
	alice := open(b, at+"/?as=alice", noLeaves, `
		RTCPeerConnection.prototype.close = () => {};`)
	waitPhase(alice, "idle")
	call(alice, "bob")
	waitPhase(alice, "talking")
	call(alice, "bob") // changes nothing
	waitNotice(alice, "You are in a call with bob already.")
	if n := len(bob.Peers()); n != 1 {
		t.Errorf("bob has %d connections, want 1", n)
	}
	alice.Click("#hangUpBtn")
	call(alice, "bob")
	waitPhase(alice, "talking")
	bob.WaitFrames(3)
	alice.WaitFrames(3)
	if peers := bob.Peers(); len(peers) != 2 || count(t, peers, "closed") != 1 {
		t.Errorf("bob's connections: %+v", peers)
	}
	say(alice, "here again")
	waitChat(bob, "here again")
	alice.NoErrors()
	bob.NoErrors()
}

// The server may have lost a call, and then passes no leave: the closed connection says it.
func TestHangUpWithoutTheServer(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		alice, bob := inCall(b, host(t), noLeaves)
		alice.Click("#hangUpBtn")
		waitChat(bob, "alice hung up")
		waitPhase(bob, "idle")
		alice.NoErrors()
		bob.NoErrors()
	})
}

// A failed connection is tried once more from the start of ICE, within the same call.
func TestICERestart(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		alice, bob := inCall(b, host(t))
		ufrag := `/a=ice-ufrag:(\S+)/.exec(window[Symbol.for('webtest.peers')][0].remoteDescription.sdp)[1]`
		var before string
		if err := alice.Eval(ufrag, &before); err != nil {
			t.Fatal(err)
		}
		// As if the network had gone: half a minute of silence is not waited for.
		var status string
		if err := alice.Eval(`(pc => {
			Object.defineProperty(pc, 'connectionState', {value: 'failed', configurable: true});
			pc.onconnectionstatechange();
			delete pc.connectionState;
			return document.querySelector('#status').textContent;
		})(window[Symbol.for('webtest.peers')][0])`, &status); err != nil || !strings.HasPrefix(status, "Reconnecting with") {
			t.Errorf("the status is %q, %v", status, err)
		}
		alice.Wait(ufrag + ` !== '` + before + `'`)
		alice.WaitFrames(5)
		bob.WaitFrames(5)
		say(alice, "still here")
		waitChat(bob, "still here")
		for _, tab := range []*webtest.Tab{alice, bob} {
			if peers := tab.Peers(); len(peers) != 1 || peers[0].Signaling != "stable" {
				t.Errorf("not the same connection: %+v", peers)
			}
			tab.NoErrors()
		}
	})
}
