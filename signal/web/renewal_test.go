//go:build !quick

package web_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/signal"
	"parley/signal/server"
	"parley/signal/signaltest"
	"parley/signal/web"
	"parley/signal/web/webtest"
)

// keepsConnections keeps the connections of a page where the test finds them.
const keepsConnections = `(() => {
	const Native = RTCPeerConnection;
	const kept = [];
	window.inUse = () => kept.findLast(pc => pc.signalingState !== 'closed'); // pages try servers with connections of their own
	window.RTCPeerConnection = class extends Native {
		constructor(configuration) {
			super(configuration);
			kept.push(this);
		}
	};
})()`

// handsOut is a server whose ICE servers are good for two seconds, each with another port: 10,000
// and what a name was given before.
func handsOut(t *testing.T) (at string, given func(name string) int) {
	t.Helper()
	var mu sync.Mutex
	times := make(map[string]int)
	url := signaltest.Start(t, &server.Options{
		Pages: web.Handler(web.AutoLoopback), ICEServersFor: 2 * time.Second,
		ICEServers: func(name string, _ time.Duration) []signal.ICEServer {
			mu.Lock()
			defer mu.Unlock()
			times[name]++
			return []signal.ICEServer{{URLs: []string{fmt.Sprintf("stun:127.0.0.1:%d", 10_000+times[name])}}}
		},
	})
	return "http" + strings.TrimPrefix(url, "ws"), func(name string) int {
		mu.Lock()
		defer mu.Unlock()
		return times[name]
	}
}

// port is the port of the ICE server that the latest connection of a page has now, as JavaScript.
const port = `Number(inUse().getConfiguration().iceServers[0].urls.toString().split(':')[2])`

// The pages ask for ICE servers anew, and use them for the next call, and when a call starts ICE
// anew.
func TestPagesRenewICEServers(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		at, given := handsOut(t)
		await := func(name string, n int) {
			t.Helper()
			for deadline := time.Now().Add(time.Minute); given(name) < n; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("%s asks %d times only", name, given(name))
				}
			}
		}
		bob := open(b, at+"/?as=bob&answer=1&video=0&audio=0", keepsConnections)
		waitPhase(bob, "idle")
		alice := open(b, at+"/?as=alice&video=0&audio=0", keepsConnections)
		waitPhase(alice, "idle")
		await("alice", 3)
		await("bob", 3)
		call(alice, "bob")
		waitPhase(alice, "talking")
		waitPhase(bob, "talking")
		for name, tab := range map[string]*webtest.Tab{"alice": alice, "bob": bob} {
			tab.Wait(`inUse().connectionState === 'connected' && (window.before = ` + port + `) >= 10002`)
			await(name, given(name)+2)
		}
		// As if the connection had failed: the caller starts ICE anew, and the other follows.
		alice.Wait(`(pc => {
			window.failed ??= (Object.defineProperty(pc, 'connectionState', {get: () => 'failed', configurable: true}),
				pc.onconnectionstatechange(), delete pc.connectionState);
			return ` + port + ` > before;
		})(inUse())`)
		bob.Wait(`inUse().signalingState === 'stable' && ` + port + ` > before`)

		saruman := open(b, at+"/hello?as=Saruman", keepsConnections)
		await("Saruman", 3)
		gandalf := open(b, at+"/hello?as=Gandalf&call=1", keepsConnections)
		waitHeard(saruman, "Gandalf", 1)
		saruman.Wait(port + ` >= 10002`)
		gandalf.Wait(port + ` >= 10001`)
	})
}
