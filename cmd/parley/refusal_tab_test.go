package main

import (
	"fmt"
	"testing"

	"parley/signal/web/webtest"
)

// spoilOffers puts into every offer of a page what no offer may have, while it is
// switched on.
const spoilOffers = `(() => {
	const Real = WebSocket;
	window.WebSocket = class extends Real {
		send(data) {
			if (window.spoils && String(data).includes('"type":"offer"')) data = data.replaceAll('a=rtcp-mux\\r\\n', 'a=rtcp-mux\\r\\na=extmap:0 urn:x\\r\\n');
			super.send(data);
		}
	};
})();`

// spoilTaken makes each offer that comes to a page one that it cannot take, or, by
// "answers", that it can take and not answer, while it is switched on.
const spoilTaken = `(() => {
	const proto = RTCPeerConnection.prototype, {setRemoteDescription: remote, setLocalDescription: local} = proto;
	proto.setRemoteDescription = function (d) {
		return remote.call(this, window.spoils === 'offers' && d.type === 'offer' ? {type: 'offer', sdp: d.sdp.replaceAll('a=fingerprint:sha-256 ', 'a=fingerprint:sha-256 x')} : d);
	};
	proto.setLocalDescription = function (d) {
		if (window.spoils === 'answers' && this.signalingState === 'have-remote-offer') return Promise.reject(new Error('no\r\na=answer\u202e' + 'x'.repeat(1000)));
		return d === undefined ? local.call(this) : local.call(this, d);
	};
})();`

// An offer of the terminal that the page does not take, or cannot answer, changes
// nothing either.
func TestRefusedOfferToATab(t *testing.T) {
	inBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		tab, p, tell := commandedWithATab(t, b, spoilTaken, "alice", "--audio", "tone:700") // whose offers stand
		tab.WaitTone(700)
		for i, what := range []string{"offers", "answers"} {
			addAndSpoil(t, tab, p, 77+i, "'"+what+"'")
			p.says(t, fmt.Sprintf(`"event":"reply".*"id":%d,"command":"add","ok":false.*the other side refused it: [ -~]+"`, 77+i))
			tab.Wait(`/^A change that alice wanted was not made/.test(document.querySelector('#noticeText').textContent)`)
			tab.Click("#noticeBtn")
			talking(tab)
			spoil(t, tab, "''")
			tell(`"command":"add","kind":"video","source":"test"`)
			tab.WaitFrames(5)
			tell(`"command":"remove","kind":"video"`)
		}
		tell(`"command":"restart-ice"`)
		tab.WaitTone(700)
		tell(`"command":"hangup"`)
		p.ends(t, 0)
		tab.NoErrors()
		tab.Close()
	})
}

// spoilAnswers makes each answer that comes to a page one that it cannot take, while
// window.spoils is above 0.
const spoilAnswers = `(() => {
	const proto = RTCPeerConnection.prototype, remote = proto.setRemoteDescription;
	proto.setRemoteDescription = function (d) {
		return remote.call(this, d.type === 'answer' && window.spoils-- > 0 ? {type: 'answer', sdp: d.sdp.replaceAll('a=fingerprint:sha-256 ', 'a=fingerprint:sha-256 x')} : d);
	};
})();`

// An answer of the terminal that the page does not take changes nothing, and both say
// why; the offer that follows is answered anew.
func TestUntakenAnswerOfTheTerminal(t *testing.T) {
	inBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		tab, p, tell := commandedWithATab(t, b, spoilAnswers, "zoe", "--audio", "tone:700") // who asks the page for its offers
		tab.WaitTone(700)
		addAndSpoil(t, tab, p, 77, "1")
		chatHas(tab, "cannot take the answer of zoe")
		p.says(t, "could not take our answer")
		tab.WaitTone(700)
		tell(`"command":"remove","kind":"video"`)
		tell(`"command":"add","kind":"video","source":"test"`)
		tab.WaitFrames(5)
		tell(`"command":"hangup"`)
		p.ends(t, 0)
		tab.NoErrors()
		tab.Close()
	})
}

// If that one is not taken either, the page goes on by another connection, which a
// terminal that answers takes.
func TestUntakenAnswersOfTheTerminal(t *testing.T) {
	inBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		page, server := serving(t)
		p, tell := commanded(t, "answer", "--server", server, "--as", "zoe", "--audio", "tone:700")
		p.says(t, `"event":"login"`)
		tab := b.NewTab()
		tab.Preload(spoilAnswers)
		tab.Go(page + "/?as=tab&call=zoe")
		talking(tab)
		tab.WaitTone(700)
		addAndSpoil(t, tab, p, 77, "2")
		chatHas(tab, "cannot go on by the connection with zoe")
		p.says(t, `"event":"end"`)
		talking(tab)
		tab.WaitTone(700)
		tell(`"command":"add","kind":"video","source":"test"`)
		tab.WaitFrames(5)
		tell(`"command":"hangup"`)
		idle(tab)
		tab.NoErrors()
		tab.Close()
	})
}

// spoil tells the tab what to spoil.
func spoil(t *testing.T, tab *webtest.Tab, what string) {
	t.Helper()
	if err := tab.Eval(`void (window.spoils = `+what+`)`, nil); err != nil {
		t.Fatal(err)
	}
}

// addAndSpoil has the terminal add a picture, by the command of that id, and the tab spoil it.
func addAndSpoil(t *testing.T, tab *webtest.Tab, p *process, id int, what string) {
	t.Helper()
	spoil(t, tab, what)
	if _, err := fmt.Fprintf(p.in, `{"id":%d,"command":"add","kind":"video","source":"test"}`+"\n", id); err != nil {
		t.Fatal(err)
	}
}

// A call that cannot begin is refused in words, whoever calls.
func TestRefusedCallOfATab(t *testing.T) {
	inBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		page, server := serving(t)
		tab := b.NewTab()
		tab.Preload(spoilTaken)
		tab.Preload(spoilOffers)
		tab.Go(page + "/?as=tab&answer=1")
		idle(tab)
		spoil(t, tab, "'offers'")
		caller := terminal(t, "call", "tab", "--server", server, "--as", "zoe", "--audio", "tone:700")
		caller.ends(t, int(exitNegotiation))
		caller.says(t, `no call came about: the other side refused it: [ -~]+`)
		tab.Wait(`/^This browser and zoe cannot agree on a call/.test(document.querySelector('#noticeText').textContent)`)
		callee := terminal(t, "answer", "--server", server, "--as", "bob", "--once", "--audio", "tone:700")
		callee.says(t, "waiting for calls")
		tab.Type("#callToUsernameInput", "bob")
		tab.Click("#callBtn")
		callee.ends(t, int(exitNegotiation))
		tab.Wait(`/^This browser and bob cannot agree on a call: .*extmap/.test(document.querySelector('#noticeText').textContent)`)
		tab.NoErrors()
		tab.Close()
	})
}

// An offer of the page that the terminal does not take in mid-call changes
// nothing: both say why, the call goes on, and the next offer is taken.
func TestRefusedOfferOfATab(t *testing.T) {
	inBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		tab, p, tell := commandedWithATab(t, b, spoilOffers, "zoe", "--audio", "tone:700") // who asks the page for its offers
		tab.WaitTone(700)
		addAndSpoil(t, tab, p, 77, "true")
		tab.Wait(`/^zoe did not take a change of the call: .*extmap/.test(document.querySelector('#noticeText').textContent)`)
		p.says(t, `"event":"reply".*"id":77,"command":"add","ok":false.*extmap`)
		talking(tab)
		tab.WaitTone(700)
		spoil(t, tab, "false")
		tell(`"command":"add","kind":"video","source":"test"`)
		tab.WaitFrames(5)
		tell(`"command":"source","kind":"audio","source":"tone:900"`)
		tab.WaitTone(900)
		tell(`"command":"hangup"`)
		p.ends(t, 0)
		tab.NoErrors()
		tab.Close()
	})
}
