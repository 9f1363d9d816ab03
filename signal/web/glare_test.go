//go:build !quick

package web_test

import (
	"testing"

	"parley/signal/web/webtest"
)

// holdOffers keeps back the offers that a page sends, until released: so that
// two offers surely cross.
const holdOffers = `{
	const send = WebSocket.prototype.send, held = [];
	let holding = true;
	WebSocket.prototype.send = function (text) {
		if (holding && (held.length || JSON.parse(text).type === 'offer')) held.push([this, text]);
		else send.call(this, text);
	};
	Object.defineProperty(window, Symbol.for('held'), {value: held});
	Object.defineProperty(window, Symbol.for('hold'), {value: () => { holding = true; }});
	Object.defineProperty(window, Symbol.for('release'), {value: () => {
		holding = false;
		for (const [socket, text] of held.splice(0)) send.call(socket, text);
	}});
}`

const (
	isHeld  = `window[Symbol.for('held')].length > 0`
	hold    = `void window[Symbol.for('hold')]()`
	release = `void window[Symbol.for('release')]()`
)

// Both click Call at once: one call comes of it, by the name that sorts first.
func TestGlare(t *testing.T) {
	pairs := map[string][2]*webtest.Browser{
		"chromium-firefox":  {browsers.Chromium(t, nil), browsers.Firefox(t, nil)},
		"firefox-chromium":  {browsers.Firefox(t, nil), browsers.Chromium(t, nil)},
		"chromium-chromium": {browsers.Chromium(t, nil), browsers.Chromium(t, nil)},
	}
	for name, pair := range pairs {
		t.Run(name, func(t *testing.T) {
			at := host(t)
			alice, bob := open(pair[0].For(t), at+"/?as=alice&answer=1", holdOffers), open(pair[1].For(t), at+"/?as=bob&answer=1", holdOffers)
			waitPhase(alice, "idle")
			waitPhase(bob, "idle")
			call(alice, "bob")
			call(bob, "alice")
			say(bob, "from a call that gave way")
			alice.Wait(isHeld)
			bob.Wait(isHeld)
			do(t, bob, release)
			do(t, alice, release)
			for _, tab := range []*webtest.Tab{alice, bob} {
				waitPhase(tab, "talking")
				tab.WaitFrames(5)
			}
			waitChat(alice, "from a call that gave way")
			say(alice, "and back")
			waitChat(bob, "and back")
			if a, b := alice.Peers(), bob.Peers(); len(a) != 1 || len(b) != 2 || b[0].Signaling != "closed" {
				t.Errorf("alice's offer was to stand: alice %+v, bob %+v", a, b)
			}
			alice.NoErrors()
			bob.NoErrors()
		})
	}
}

// An original page's offer is not signed: the browser under it takes it back when
// ours comes, and ours must go on waiting for the answer to its own. (The video
// page: in Chromium a data channel made before an offer that was taken back never opens.)
func TestGlareWithOriginalPage(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		for _, name := range []string{"aaa", "zzz"} {
			url := originals(t)
			old := open(b, url+"/original/video.html?as=old", holdOffers)
			old.Wait(`document.title === 'ready'`)
			ours := open(b, url+"/?answer=1&as="+name, holdOffers)
			waitPhase(ours, "idle")
			call(ours, "old")
			do(t, old, `call('`+name+`')`)
			ours.Wait(isHeld)
			old.Wait(isHeld)
			do(t, old, release)
			do(t, ours, release)
			waitPhase(ours, "talking")
			old.WaitFrames(5)
			ours.WaitFrames(5)
			if n := len(ours.Peers()); n != 1 {
				t.Errorf("our offer was to stand, but there are %d connections", n)
			}
			ours.NoErrors()
			old.Close()
			ours.Close()
		}
	})
}

// asTerminal has an original page send the member parley as a terminal does.
const asTerminal = `{
	let offers = 0, offered = 0, processed = 0;
	window.WebSocket = class extends WebSocket {
		constructor(...a) {
			super(...a);
			this.addEventListener('message', e => { if (e.data.includes('"offer"')) offered = JSON.parse(e.data).offer.parley.number; });
		}
		send(text) {
			const m = JSON.parse(text);
			if (m.offer) m.offer = {type: 'offer', sdp: m.offer.sdp, parley: {version: 1, number: ++offers, processed}};
			if (m.answer) m.answer = {type: 'answer', sdp: m.answer.sdp, parley: {version: 1, number: processed = offered}};
			super.send(JSON.stringify(m));
		}
	};
}`

// offerOfOld has the original page make another offer in the call, with one more m-section.
const offerOfOld = `(async () => {
	window.added = pc.addTransceiver('audio');
	const offer = await pc.createOffer();
	await pc.setLocalDescription(offer);
	send({type: 'offer', offer});
})()`

// The offer of the page stands when it crosses that of a terminal, with either name sorting
// first, at the start of a call and in it.
func TestGlareWithTerminal(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		for _, name := range []string{"aaa", "zzz"} {
			url := originals(t)
			old := open(b, url+"/original/video.html?as=old", asTerminal, holdOffers, keepFrames)
			old.Wait(`document.title === 'ready'`)
			ours := open(b, url+"/?answer=1&as="+name, holdOffers, noRestarts) // Firefox as the terminal rolls nothing back for a restart
			waitPhase(ours, "idle")
			for round := range 2 {
				if round == 0 {
					call(ours, "old")
					do(t, old, `call('`+name+`')`)
				} else {
					do(t, ours, hold)
					do(t, old, hold)
					failConnection(t, ours)
					do(t, old, offerOfOld)
				}
				ours.Wait(isHeld)
				old.Wait(isHeld)
				do(t, old, release)
				do(t, ours, release)
				ours.Wait(`(pc => pc.signalingState === 'stable' && pc.connectionState === 'connected')(window[Symbol.for('webtest.peers')].at(-1))`)
				waitPhase(ours, "talking")
				old.Wait(`pc.signalingState === 'stable'`)
				ours.WaitFrames(5)
			}
			old.Wait(`window[Symbol.for('frames')].received.filter(text => text.includes('"answer"')).length === 0`)
			if n := len(ours.Peers()); n != 1 {
				t.Errorf("got %d connections, want 1", n)
			}
			ours.NoErrors()
			old.Close()
			ours.Close()
		}
	})
}

// answerThenOffer has a page receive an answer and the offer that follows it at the same time.
const answerThenOffer = `{
	window.WebSocket = class extends WebSocket {
		set onmessage(deliver) {
			const held = [];
			super.onmessage = deliver && (e => {
				const type = e.data.startsWith('{') ? JSON.parse(e.data).type : '';
				if (!held.length && type !== 'answer') deliver(e);
				else if (held.push(e) && type === 'offer') for (const e of held.splice(0)) deliver(e);
			});
		}
	};
}`

// An offer right after the answer does not cross the page's own.
func TestOfferAfterAnswer(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		at := originals(t)
		old := open(b, at+"/original/video.html?as=old", asTerminal)
		old.Wait(`document.title === 'ready'`)
		ours := open(b, at+"/?as=ours&answer=1", answerThenOffer)
		waitPhase(ours, "idle")
		call(ours, "old")
		old.Wait(`pc.signalingState === 'stable' && pc.remoteDescription !== null`)
		do(t, old, offerOfOld)
		old.Wait(`added.currentDirection?.includes('send')`)
		waitPhase(ours, "talking")
		ours.WaitFrames(5)
		if n := len(ours.Peers()); n != 1 {
			t.Errorf("got %d connections, want 1", n)
		}
		ours.NoErrors()
		old.Close()
		ours.Close()
	})
}

// keepFrames keeps the frames of a page's socket, and the socket.
const keepFrames = `{
	const frames = {received: [], sent: [], socket: null};
	Object.defineProperty(window, Symbol.for('frames'), {value: frames});
	window.WebSocket = class extends WebSocket {
		constructor(...a) {
			super(...a);
			frames.socket = this;
			this.addEventListener('message', e => frames.received.push(e.data));
		}
		send(text) {
			frames.sent.push(text);
			super.send(text);
		}
	};
}`

// again has a page that has keepFrames receive its last message of a type once more, as a new one.
func again(typ string) string {
	return `(({socket, received}) => socket.onmessage({data: received.findLast(text => text.startsWith('{"type":"` + typ + `"')).replace(/,"seq":\d+,"ack":\d+}$/, '}')}))(window[Symbol.for('frames')])`
}

// An offer that comes again gets the same answer again, and an answer that comes again, or
// answers another offer than the one that is out, is ignored.
func TestDuplicates(t *testing.T) {
	const answers = `window[Symbol.for('frames')].sent.filter(text => text.startsWith('{"type":"answer"')).map(JSON.parse)`
	const pc = `window[Symbol.for('webtest.peers')].at(-1)`
	ufrag := func(tab *webtest.Tab, description string) (ufrag string) {
		t.Helper()
		if err := tab.Eval(`/a=ice-ufrag:(\S+)/.exec(`+pc+`.`+description+`.sdp)[1]`, &ufrag); err != nil {
			t.Fatal(err)
		}
		return ufrag
	}
	each(t, func(t *testing.T, b *webtest.Browser) {
		at := host(t)
		bob := open(b, at+"/?as=bob&answer=1", keepFrames)
		waitPhase(bob, "idle")
		alice := open(b, at+"/?as=alice", holdOffers, keepFrames)
		waitPhase(alice, "idle")
		do(t, alice, release)
		call(alice, "bob")
		waitPhase(alice, "talking")
		waitPhase(bob, "talking")
		do(t, bob, again("offer"))
		bob.Wait(`(answers => answers.length === 2 && answers[0].answer.sdp === answers[1].answer.sdp)(` + answers + `)`)
		do(t, alice, hold)
		failConnection(t, alice)
		alice.Wait(isHeld)
		do(t, alice, again("answer"))
		do(t, alice, release)
		alice.Wait(pc + `.signalingState === 'stable'`)
		bob.Wait(answers + `.length === 3`)
		do(t, bob, again("offer"))
		bob.Wait(answers + `.length === 4`)
		say(alice, "all is well")
		waitChat(bob, "all is well")
		if got, want := ufrag(alice, "remoteDescription"), ufrag(bob, "localDescription"); got != want {
			t.Errorf("got the answer with ice-ufrag %s, want %s", got, want)
		}
		for _, tab := range []*webtest.Tab{alice, bob} {
			tab.WaitFrames(3)
			if n := len(tab.Peers()); n != 1 {
				t.Errorf("got %d connections, want 1", n)
			}
			tab.NoErrors()
		}
	})
}
