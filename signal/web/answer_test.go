package web_test

import (
	"testing"

	"parley/signal/web/webtest"
)

func TestAskBeforeAnswering(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		at := host(t)
		bob := open(b, at+"/?as=bob", keepFrames)
		waitPhase(bob, "idle")
		bob.Click("#askInput")
		alice := open(b, at+"/?as=alice")
		waitPhase(alice, "idle")

		call(alice, "bob")
		waitPhase(bob, "ringing")
		bob.Click("#declineBtn")
		waitChat(alice, "declined")
		waitPhase(alice, "idle")

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
			t.Error("seen before it was answered")
		}
		bob.Wait(`document.activeElement.id === 'acceptBtn'`)
		bob.Press(webtest.Enter) // the focus is on Accept
		waitPhase(alice, "talking")
		alice.WaitFrames(3)
		alice.Click("#hangUpBtn")

		bob.Reload() // the setting is remembered
		waitPhase(bob, "idle")
		call(alice, "bob")
		waitPhase(bob, "ringing")
		bob.Go(at + "/?as=bob&answer=1") // and overridden
		waitPhase(alice, "idle")
		waitPhase(bob, "idle")
		call(alice, "bob")
		waitPhase(bob, "talking")
		alice.NoErrors()
		bob.NoErrors()
	})
}

func TestBusy(t *testing.T) {
	b := browsers.Chromium(t, nil)
	at := host(t)
	alice, bob := inCall(b, at)
	carol := open(b, at+"/?as=carol&call=bob")
	waitChat(carol, "bob is busy")
	waitChat(bob, "carol called")
	waitPhase(bob, "talking")
	before := bob.RemoteVideo().Frames
	bob.WaitFrames(3)
	if bob.RemoteVideo().Frames <= before {
		t.Error("the call did not go on")
	}
	// Whoever calls somebody else hangs up first.
	call(bob, "carol")
	waitChat(alice, "hung up")
	waitPhase(carol, "talking")
	carol.WaitFrames(3)
	for _, tab := range []*webtest.Tab{alice, bob, carol} {
		tab.NoErrors()
	}
}

// A second offer of the same name from another connection is a page that was
// loaded anew, and its leave may have been lost.
func TestReplacedCall(t *testing.T) {
	b := browsers.Chromium(t, nil)
	at := host(t)
	bob := open(b, at+"/?as=bob")
	waitPhase(bob, "idle")
	alice := open(b, at+"/?as=alice", `const send = WebSocket.prototype.send;
		WebSocket.prototype.send = function (text) { if (JSON.parse(text).type !== 'leave') send.call(this, text); };
		RTCPeerConnection.prototype.close = () => {};`)
	waitPhase(alice, "idle")
	for range 2 {
		call(alice, "bob")
		waitPhase(alice, "talking")
	}
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
		alice, bob := inCall(b, host(t), `const send = WebSocket.prototype.send;
			WebSocket.prototype.send = function (text) { if (JSON.parse(text).type !== 'leave') send.call(this, text); };`)
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
		do(t, alice, `(pc => {
			Object.defineProperty(pc, 'connectionState', {value: 'failed', configurable: true});
			pc.onconnectionstatechange();
			delete pc.connectionState;
		})(window[Symbol.for('webtest.peers')][0])`)
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
