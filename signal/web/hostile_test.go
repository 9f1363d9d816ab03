//go:build !quick

package web_test

import (
	"strings"
	"testing"

	"parley/signal/signaltest"
	"parley/signal/web/webtest"
)

// Names and texts are shown as they were written, never as markup, and cannot
// turn the text around them.
func TestMarkupIsText(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		at := host(t)
		const mallory = `<img src=x onerror=alert(1)>`
		bob := open(b, at+"/?as=bob&answer=1")
		signInAs := open(b, at)
		waitPhase(bob, "idle")
		signIn(signInAs, mallory)
		call(signInAs, "bob")
		waitPhase(bob, "talking")
		bob.Wait(`document.querySelector('#status').innerText.includes('<img src=x')`)
		for _, text := range []string{mallory, `<script>alert(2)</script>`, `<svg/onload=alert(3)>`, `&lt;b&gt;`, `javascript:alert(4)`} {
			do(t, signInAs, `(i => { i.value = `+quote(text)+`; i.form.requestSubmit(); })(document.querySelector('#msgInput'))`)
			bob.Wait(`[...document.querySelectorAll('#chatarea .body')].at(-1)?.textContent === ` + quote(text))
		}
		bob.Wait(`document.querySelectorAll('#callPage img:not(.welcome img), #callPage script, #callPage .chat svg').length === 0`)
		signInAs.Click("#hangUpBtn")
		waitChat(bob, mallory)
		bob.NoErrors()
		signInAs.NoErrors()
	})
}

func TestDirectionAndLength(t *testing.T) {
	b := browsers.Chromium(t, nil)
	at := relayTo(t, signaltest.Original(t, "call")) // it lets every name in
	const turning = "mal\u202eyrol\u0007"
	bob := open(b, at+"/?as=bob&answer=1")
	waitPhase(bob, "idle")
	mallory := open(b, at)
	do(t, mallory, `(i => { i.value = `+quote(turning)+`; i.form.requestSubmit(); })(document.querySelector('#usernameInput'))`)
	waitPhase(mallory, "idle")
	call(mallory, "bob")
	waitPhase(bob, "talking")
	waitPhase(mallory, "talking") // the wire carries the name unchanged
	long := strings.Repeat("long", 3000)
	for _, text := range []string{"exe.\u202egpj", "a\u0000b\u001bc", long} {
		do(t, mallory, `(i => { i.value = `+quote(text)+`; i.form.requestSubmit(); })(document.querySelector('#msgInput'))`)
	}
	bob.Wait(`document.querySelectorAll('#chatarea .body').length === 3`)
	var shown string
	if err := bob.Eval(`document.body.textContent + document.title`, &shown); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(shown, "\u202e\u0007\u0000\u001b") {
		t.Error("what steers the text is shown as it came")
	}
	for _, want := range []string{"mal\ufffdyrol\ufffd", "exe.\ufffdgpj", "a\ufffdb\ufffdc", long} {
		if !strings.Contains(shown, want) {
			t.Errorf("%.40q is not shown", want)
		}
	}
	bob.Wait(`document.documentElement.scrollWidth <= innerWidth`)
	// A flood stays bounded.
	do(t, mallory, `(pc => new Promise(resolve => {
		const channel = pc.createDataChannel('flood');
		channel.onopen = () => { for (let i = 0; i < 700; i++) channel.send('line ' + i); resolve(); };
	}))(window[Symbol.for('webtest.peers')].at(-1))`)
	waitChat(bob, "line 699")
	bob.Wait(`document.querySelector('#chatarea').childElementCount === 500`)
	do(t, mallory, `(pc => new Promise(resolve => {
		const channel = pc.createDataChannel('binary');
		channel.onopen = () => { channel.send(new Uint8Array(7)); resolve(); };
	}))(window[Symbol.for('webtest.peers')].at(-1))`)
	waitChat(bob, "sent 7 bytes that are no text")
	bob.NoErrors()
}

// A text that is too long to be sent stays in the field, with the reason, and can be made shorter.
func TestTooLongText(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		alice, bob := inCall(b, host(t))
		enter := func(js string) {
			do(t, alice, `(i => { i.value = `+js+`; i.form.requestSubmit(); })(document.querySelector('#msgInput'))`)
		}
		enter(`'x'.repeat(2000 * 1024)`)
		waitNotice(alice, "This message has 2,048,000 characters; at most 16,000 can be sent.")
		alice.Wait(`document.querySelector('#msgInput').value.length === 2048000`)
		enter(`'\u20ac'.repeat(16000)`) // three bytes each
		bob.Wait(`[...document.querySelectorAll('#chatarea .body')].at(-1)?.textContent === '\u20ac'.repeat(16000)`)
		alice.Wait(`document.querySelector('#msgInput').value === ''`)
		alice.NoErrors()
		bob.NoErrors()
	})
}

// keepSockets lets a test reach the sockets of a page.
const keepSockets = `{
	const made = [];
	window.WebSocket = class extends WebSocket { constructor(...a) { super(...a); made.push(this); } };
	Object.defineProperty(window, Symbol.for('sockets'), {value: made});
}`

// Frames that make no sense, before, in and after a call.
func TestFramesThatMakeNoSense(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		at := host(t)
		bob := open(b, at+"/?as=bob&answer=1", keepSockets)
		waitPhase(bob, "idle")
		nonsense := `for (const data of ['Hello world', '', 'null', '[]', '7', '"x"', '{', '{}', '{"type":5}', '{"type":"nothing"}',
			'{"type":"offer"}', '{"type":"offer","name":"x"}', '{"type":"offer","name":"x","offer":null}', '{"type":"offer","name":5,"offer":{"sdp":"v=0"}}',
			'{"type":"answer"}', '{"type":"answer","answer":{"type":"answer","sdp":"x"}}', '{"type":"candidate"}', '{"type":"candidate","candidate":null}',
			'{"type":"candidate","candidate":""}', '{"type":"candidate","candidate":{"candidate":"rubbish","sdpMid":"0"}}',
			'{"type":"candidate","candidate":{"candidate":"candidate:1 1 udp 1 x.local 9 typ host","sdpMid":"99","sdpMLineIndex":99}}',
			'{"type":"leave","name":"somebody else"}', '{"type":"login"}', '{"type":"login","success":false}', '{"type":"constructor"}', '{"type":"__proto__"}', new ArrayBuffer(3)])
			window[Symbol.for('sockets')].at(-1).onmessage({data})`
		do(t, bob, `(() => { `+nonsense+` })()`)
		waitPhase(bob, "idle")
		alice := open(b, at+"/?as=alice&call=bob")
		waitPhase(bob, "talking")
		do(t, bob, `(() => { `+nonsense+` })()`)
		say(alice, "all is well")
		waitChat(bob, "all is well")
		rubbish := `window[Symbol.for('sockets')].at(-1).onmessage({data: '{"type":"offer","name":"alice","offer":{"type":"offer","sdp":"v=0"}}'})`
		for _, extension := range []string{``, `,"parley":null`, `,"parley":"x"`, `,"parley":{"version":2,"number":9}`, `,"parley":{"version":1,"number":"<b>"}`,
			`,"parley":{"version":1,"number":2}`, `,"parley":{"version":1,"number":3,"answerRejected":"<b>","browser":true,"new":{}}`} {
			do(t, bob, strings.Replace(rubbish, `"v=0"`, `"v=0"`+extension, 1))
			waitNotice(bob, "A change that alice wanted was not made")
			bob.Click("#noticeBtn")
		}
		say(alice, "still well")
		waitChat(bob, "still well")
		alice.Click("#hangUpBtn")
		waitPhase(bob, "idle")
		// An offer that no browser takes ends the call with words, and the next one works.
		do(t, bob, rubbish)
		waitNotice(bob, "cannot agree")
		waitPhase(bob, "idle")
		call(alice, "bob")
		waitPhase(bob, "talking")
		bob.WaitFrames(3)
		bob.NoErrors()
		alice.NoErrors()
	})
}

// rejectOffers has a page reject each offer, three times in the words of
// window.rejection, while that is set.
const rejectOffers = `{
	const apply = RTCPeerConnection.prototype.setRemoteDescription;
	RTCPeerConnection.prototype.setRemoteDescription = function (d) {
		return window.rejection && d.type === 'offer' ? Promise.reject(new Error('no')) : apply.call(this, d);
	};
	window.WebSocket = class extends WebSocket {
		send(text) {
			const m = JSON.parse(text);
			if (m.answer?.parley?.rejected === 'no') {
				m.answer.parley.rejected = window.rejection;
				for (let i = 1; i < 3; i++) super.send(JSON.stringify({...m, seq: undefined}));
			}
			super.send(JSON.stringify(m));
		}
	};
}`

// Rejections, of whatever text and how many, are shown as text and leave the call.
func TestHostileRejections(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		at := host(t)
		alice, bob := open(b, at+"/?as=alice&answer=1", rejectOffers), open(b, at+"/?as=bob", noRestarts)
		waitPhase(alice, "idle")
		waitPhase(bob, "idle")
		call(bob, "alice")
		waitPhase(bob, "talking")
		waitPhase(alice, "talking")
		for _, why := range []string{"<img src=x onerror=alert(1)>\u202egpj\u001b[31m", strings.Repeat("long ", 1000)} {
			do(t, alice, `void (window.rejection = `+quote(why)+`)`)
			failConnection(t, bob)
			waitNotice(bob, "alice did not take a change of the call: "+why[:4])
			var shown string
			if err := bob.Eval(`document.querySelector('#noticeText').textContent`, &shown); err != nil {
				t.Fatal(err)
			}
			if len(shown) > 300 || strings.ContainsAny(shown, "\u202e\u001b") {
				t.Errorf("it shows %d bytes: %.60q", len(shown), shown)
			}
			bob.Click("#noticeBtn")
			bob.Wait(`window[Symbol.for('webtest.peers')].at(-1).signalingState === 'stable'`)
		}
		bob.WaitFrames(3)
		do(t, alice, `void (window.rejection = '')`)
		failConnection(t, bob)
		say(alice, "all is well")
		waitChat(bob, "all is well")
		waitPhase(bob, "talking")
		bob.WaitFrames(3)
		bob.NoErrors()
		alice.NoErrors()
	})
}
