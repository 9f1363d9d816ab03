package browser

import (
	"fmt"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/cmd/parley/internal/exit"
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

// An offer of the terminal that the page cannot apply, or cannot answer, changes nothing.
func TestRejectedOfferToATab(t *testing.T) {
	e2etest.InBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		tab, p, write := commandedWithATab(t, b, spoilTaken, "--audio", "tone:700")
		tab.WaitTone(700)
		for i, what := range []string{"offers", "answers"} {
			spoil(t, tab, "'"+what+"'")
			add(t, p, 77+i)
			p.Says(t, fmt.Sprintf(`"event":"reply".*"id":%d,"command":"add","ok":false.*rejected by the peer: [ -~]+"`, 77+i))
			tab.Wait(`/^A change that alice wanted was not made/.test(document.querySelector('#noticeText').textContent)`)
			tab.Click("#noticeBtn")
			e2etest.Talking(tab)
			spoil(t, tab, "''")
			write(`"command":"add","kind":"video","source":"test"`)
			tab.WaitFrames(5)
			write(`"command":"remove","kind":"video"`)
		}
		write(`"command":"restart-ice"`)
		tab.WaitTone(700)
		write(`"command":"hangup"`)
		p.Ends(t, 0)
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

// rejectedInMidCall has a tab offer in a call with a terminal, while window.spoils of the script
// preload is what. check waits for what both report. Then the call goes on and can be changed.
func rejectedInMidCall(t *testing.T, preload, what string, check func(t *testing.T, tab *webtest.Tab, p *e2etest.Process)) {
	t.Helper()
	e2etest.InBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		tab, p, write := commandedByATab(t, b, preload, "--audio", "tone:700")
		tab.WaitTone(700)
		spoil(t, tab, what)
		pageOffers(t, tab)
		check(t, tab, p)
		tab.WaitTone(700)
		write(`"command":"add","kind":"video","source":"test"`)
		tab.WaitFrames(5)
		write(`"command":"source","kind":"audio","source":"tone:900"`)
		tab.WaitTone(900)
		hangUpTab(tab, write)
	})
}

// An answer of the terminal that the page cannot apply changes nothing, and both report why. The
// offer that follows is answered anew.
func TestRejectedAnswerOfTheTerminal(t *testing.T) {
	rejectedInMidCall(t, spoilAnswers, "1", func(t *testing.T, tab *webtest.Tab, p *e2etest.Process) {
		e2etest.ChatHas(tab, "cannot take the answer of zoe")
		p.Says(t, "could not apply our answer")
	})
}

// If that one cannot be applied either, the page goes on by another connection, which a terminal
// that answers accepts.
func TestRejectedAnswersOfTheTerminal(t *testing.T) {
	rejectedInMidCall(t, spoilAnswers, "2", func(t *testing.T, tab *webtest.Tab, p *e2etest.Process) {
		e2etest.ChatHas(tab, "cannot go on by the connection with zoe")
		p.Says(t, `"event":"end"`)
		e2etest.Talking(tab)
	})
}

// An offer of the page that the terminal rejects in mid-call changes nothing: both report why, the
// call goes on, and the next offer is accepted.
func TestRejectedOfferOfATab(t *testing.T) {
	rejectedInMidCall(t, spoilOffers, "true", func(t *testing.T, tab *webtest.Tab, p *e2etest.Process) {
		tab.Wait(`/^zoe did not take a change of the call: .*extmap/.test(document.querySelector('#noticeText').textContent)`)
		p.Says(t, "ignored a new description: .*extmap")
		e2etest.Talking(tab)
		tab.WaitTone(700)
		spoil(t, tab, "false")
		pageOffers(t, tab)
		p.Says(t, `"event":"candidate".*"side":"local"`)
	})
}

// spoil sets what the tab spoils.
func spoil(t *testing.T, tab *webtest.Tab, what string) {
	t.Helper()
	if err := tab.Eval(`void (window.spoils = `+what+`)`, nil); err != nil {
		t.Fatal(err)
	}
}

// add sends the command, with that id, that adds video.
func add(t *testing.T, p *e2etest.Process, id int) {
	t.Helper()
	if _, err := fmt.Fprintf(p.In, `{"id":%d,"command":"add","kind":"video","source":"test"}`+"\n", id); err != nil {
		t.Fatal(err)
	}
}

// A call that cannot begin ends with the reason at both ends, whichever calls.
func TestRejectedCallOfATab(t *testing.T) {
	e2etest.InBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		page, server := e2etest.Serve(t)
		tab := b.NewTab()
		tab.Preload(spoilTaken)
		tab.Preload(spoilOffers)
		tab.Go(page + "/?as=tab&answer=1")
		e2etest.Idle(tab)
		spoil(t, tab, "'offers'")
		caller := e2etest.Start(t, "call", "tab", "--server", server, "--as", "zoe", "--audio", "tone:700")
		caller.Ends(t, int(exit.Negotiation))
		caller.Says(t, `no call came about: rejected by the peer: [ -~]+`)
		tab.Wait(`/^This browser and zoe cannot agree on a call/.test(document.querySelector('#noticeText').textContent)`)
		callee := e2etest.Start(t, "answer", "--server", server, "--as", "bob", "--once", "--audio", "tone:700")
		callee.Says(t, "waiting for calls")
		tab.Type("#callToUsernameInput", "bob")
		tab.Click("#callBtn")
		callee.Ends(t, int(exit.Negotiation))
		tab.Wait(`/^This browser and bob cannot agree on a call: .*extmap/.test(document.querySelector('#noticeText').textContent)`)
		tab.NoErrors()
		tab.Close()
	})
}
