package webtest

// keepPeers keeps every RTCPeerConnection that the page makes, under a symbol,
// where a page's own code does not meet it.
const keepPeers = `(() => {
	const made = [];
	Object.defineProperty(window, Symbol.for('webtest.peers'), {value: made});
	window.RTCPeerConnection = class extends RTCPeerConnection {
		constructor(...args) { super(...args); made.push(this); }
	};
})();`

// KeepPeers makes [Tab.Stats] and [Tab.Peers] work for pages opened after it.
func (tab *Tab) KeepPeers() {
	tab.t.Helper()
	tab.Preload(keepPeers)
}

// Stats is the getStats report of the newest RTCPeerConnection, one map for each
// entry. It needs [Tab.KeepPeers].
func (tab *Tab) Stats() []map[string]any {
	tab.t.Helper()
	var stats []map[string]any
	if err := tab.Eval(`(async () => [...(await window[Symbol.for('webtest.peers')].at(-1).getStats()).values()])()`, &stats); err != nil {
		tab.Fatalf("%v", err)
	}
	return stats
}

// Peer is the state of one RTCPeerConnection.
type Peer struct {
	Connection, ICE, Signaling string
}

// Peers are the states of all that the page has made, oldest first. It needs
// [Tab.KeepPeers].
func (tab *Tab) Peers() []Peer {
	tab.t.Helper()
	var peers []Peer
	if err := tab.Eval(`window[Symbol.for('webtest.peers')].map(p =>
		({Connection: p.connectionState, ICE: p.iceConnectionState, Signaling: p.signalingState}))`, &peers); err != nil {
		tab.Fatalf("%v", err)
	}
	return peers
}
