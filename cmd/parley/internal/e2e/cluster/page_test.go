package cluster

import (
	"syscall"
	"testing"
	"time"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/signal/signaltest/deployment"
	"parley/signal/web/webtest"
)

// watchPhases keeps the phases of the calls of a page, and counts its logins.
const watchPhases = `{
	window.phases = [];
	window.logins = 0;
	addEventListener('DOMContentLoaded', () => {
		const room = document.querySelector('#callPage');
		new MutationObserver(() => window.phases.push(room.dataset.phase)).observe(room, {attributeFilter: ['data-phase']});
	});
	window.WebSocket = class extends WebSocket {
		constructor(...a) {
			super(...a);
			this.addEventListener('message', e => { if (e.data.includes('"success":true')) window.logins++; });
		}
	};
}`

// transport is a JavaScript expression: what another connection or an ICE restart would change.
const transport = `(([pc, ...more]) => JSON.stringify([more.length, pc.connectionState, pc.localDescription.sdp.match(/^a=ice-ufrag:.*$/m)[0]]))(window[Symbol.for('webtest.peers')])`

// TestPageResumesAtAnotherNode kills the node of a page that is in a call with a terminal. While
// the page has no server, both mute their audio, which is signaled by an offer, and write a line.
// The page resumes at another node: the call is the same, and both have what was sent meanwhile.
func TestPageResumesAtAnotherNode(t *testing.T) {
	d := start(t, "--page-auto")
	e2etest.InBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		tab := b.NewTab()
		tab.KeepPeers()
		tab.Preload(watchPhases)
		tab.Go(d.URL + "/?as=alice&answer=1")
		e2etest.Idle(tab)
		page, other := nodesOf(t, d)
		carol, command := e2etest.StartCommanded(t, "call", "alice", "--server", other.Server, "--as", "carol", "--video", "test", "--audio", "tone:600", "--timeout", "2m")
		e2etest.Talking(tab)
		e2etest.SeesAndHears(t, tab, 600)
		var before, after string
		if err := tab.Eval(transport, &before); err != nil {
			t.Fatal(err)
		}
		if err := tab.Eval(`void (window.phases.length = 0)`, nil); err != nil {
			t.Fatal(err)
		}

		// The balancer stands still, so that the page comes back after both have sent.
		pause := func(s syscall.Signal) {
			if err := syscall.Kill(d.Balancer.PID(), s); err != nil {
				t.Fatal(err)
			}
		}
		deadline := time.Now().Add(e2etest.Patience)
		pause(syscall.SIGSTOP)
		defer pause(syscall.SIGCONT)
		page.Kill()
		sent := metric(t, other, "signaling_messages_received_total")
		tab.Click("#micBtn")
		tab.Type("#msgInput", "line of the page")
		tab.Press("Enter")
		command(`"command":"mute","kind":"audio"`)
		command(`"command":"say","text":"line of the terminal"`)
		e2etest.ChatHas(tab, "line of the terminal") // calls do not need a server
		carol.Says(t, "line of the page")
		for metric(t, other, "signaling_messages_received_total") == sent { // until the terminal has sent its offer
			if time.Now().After(deadline) {
				t.Fatal("the terminal sends no offer")
			}
		}
		pause(syscall.SIGCONT)

		tab.Wait(`window.logins === 2`)
		tab.Wait(`document.querySelector('#peerMuted').innerText === 'carol: microphone muted'`)
		carol.Says(t, `"event":"mute".*"kind":"audio","muted":true`)
		tab.Wait(`window[Symbol.for('webtest.peers')][0].signalingState === 'stable'`)
		command(`"command":"unmute","kind":"audio"`)
		tab.Click("#micBtn")
		tab.Wait(`document.querySelector('#peerMuted').hidden`)
		carol.Says(t, `"event":"mute".*"kind":"audio","muted":false`)
		e2etest.SeesAndHears(t, tab, 600)
		if err := tab.Eval(transport, &after); err != nil || after != before {
			t.Errorf("the connection was %s, now %s, %v", before, after, err)
		}
		var phases []string
		if err := tab.Eval(`window.phases`, &phases); err != nil || len(phases) > 0 {
			t.Errorf("the page has gone through %q, want one call, %v", phases, err)
		}
		tab.Click("#hangUpBtn")
		e2etest.Idle(tab)
		carol.Ends(t, 0)
		tab.NoErrors("WebSocket", "ws://")
		tab.Close()
		if err := page.Start(); err != nil {
			t.Fatal(err)
		}
		if err := page.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		signedIn(t, d, func() int { return 0 })
	})
}

// nodesOf returns the only node that has a name, and another one.
func nodesOf(t *testing.T, d *deployment.Deployment) (node, other *deployment.Node) {
	t.Helper()
	for _, n := range d.Nodes {
		if metric(t, n, "signaling_names") == 0 {
			other = n
		} else {
			node = n
		}
	}
	if node == nil || other == nil {
		t.Fatal("not one node has the name")
	}
	return node, other
}
