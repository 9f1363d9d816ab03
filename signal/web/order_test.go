//go:build !quick

package web_test

import (
	"testing"

	"parley/signal/web/webtest"
)

// reorder delivers the first description that a page receives after one of the
// candidates that follow it (there may be no second), and notes what becomes of all.
const reorder = `{
	const state = {early: [], added: [], refused: []};
	Object.defineProperty(window, Symbol.for('candidates'), {value: state});
	const add = RTCPeerConnection.prototype.addIceCandidate;
	RTCPeerConnection.prototype.addIceCandidate = function (init) {
		return add.call(this, init).then(() => { state.added.push(init.candidate); }, e => { state.refused.push(String(e)); throw e; });
	};
	let held = null, done = false;
	const seq = e => Number(/"seq":(\d+)/.exec(e.data)?.[1]);
	const numbered = (e, n) => ({data: e.data.replace(/"seq":\d+/, '"seq":' + n)}); // as if it had been sent in this order
	window.WebSocket = class extends WebSocket {
		set onmessage(deliver) {
			super.onmessage = deliver && (e => {
				if (!done && !held && e.data.includes('"sdp"')) { held = e; return; }
				if (held && !done) state.early.push((m => m.candidate.candidate ?? m.candidate)(JSON.parse(e.data)));
				if (state.early.length !== 1 || done) { deliver(e); return; }
				done = true;
				deliver(numbered(e, seq(held)));
				deliver(numbered(held, seq(e)));
			});
		}
	};
}`

// Candidates that come before the description they belong to are kept for it.
func TestEarlyCandidates(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		at := host(t)
		for name, paths := range map[string][2]string{
			"answer": {"/?as=alice&call=bob", "/?as=bob&answer=1"},
			"hello":  {"/hello?as=Gandalf&call=1", "/hello?as=Saruman"},
		} {
			for _, late := range []int{0, 1} {
				preload := [2]string{}
				preload[late] = reorder
				callee := open(b, at+paths[1], preload[1])
				callee.Wait(`/Ready|waiting/.test(document.querySelector('#status').innerText)`)
				caller := open(b, at+paths[0], preload[0])
				tabs := [2]*webtest.Tab{caller, callee}
				t.Logf("%s, reordered for side %d", name, late)
				for _, tab := range tabs {
					tab.Wait(`/Talking|Connected/.test(document.querySelector('#status').innerText)`)
					tab.NoErrors()
				}
				tabs[late].Wait(`(c => c.early.length === 1 && c.early.every(x => c.added.includes(x)))(window[Symbol.for('candidates')])`)
				tabs[late].Wait(`window[Symbol.for('candidates')].refused.length === 0`)
				caller.Close()
				callee.Close()
			}
		}
	})
}
