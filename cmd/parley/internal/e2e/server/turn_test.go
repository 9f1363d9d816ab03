package server

import (
	"net/netip"
	"strings"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/signal/turnserver"
	"parley/signal/turnserver/coturntest"
	"parley/signal/web/webtest"
)

// relayedCall calls from terminal to terminal, through relays alone, and returns
// who has called.
func relayedCall(t *testing.T, server string, args ...string) (alice *e2etest.Process) {
	t.Helper()
	args = append([]string{"--server", server, "--ice-policy", "relay", "--output", "ndjson"}, args...)
	bob := e2etest.Start(t, append([]string{"answer", "--as", "bob", "--once", "--say", "hello alice"}, args...)...)
	bob.Says(t, `"event":"login"`)
	alice = e2etest.Start(t, append([]string{"call", "bob", "--as", "alice", "--video", "test", "--say", "hello bob", "--expect", "text=hello alice"}, args...)...)
	alice.Ends(t, 0)
	bob.Ends(t, 0)
	for _, p := range []*e2etest.Process{alice, bob} {
		isRelayed(t, p)
	}
	if !strings.Contains(bob.Out.String(), "hello bob") {
		t.Errorf("bob does not hear alice:\n%s", bob.Out)
	}
	return alice
}

// isRelayed checks that every pair was relayed, and every local candidate a relay's.
func isRelayed(t *testing.T, p *e2etest.Process) {
	t.Helper()
	events, err := e2etest.ReadEvents(p.Out.String())
	if err != nil {
		t.Fatal(err)
	}
	pairs := 0
	for _, e := range events {
		if e["event"] == "pair" {
			pairs++
			if e["relayed"] != true {
				t.Errorf("a pair that is not relayed: %v", e)
			}
		}
		if e.Has([]string{"event=candidate", "side=local"}) && e["type"] != "relay" && e["type"] != nil && e["type"] != "" {
			t.Errorf("a candidate that is no relay: %v", e)
		}
	}
	if pairs == 0 {
		t.Errorf("no pair in\n%s", p.Out)
	}
}

// coturn takes the credentials that our signaling server makes with its secret.
func TestRelayedThroughCoturn(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			coturn := coturntest.Start(t, "north")
			_, server, _ := e2etest.ServeEvents(t, "--turn-secret", "north", "--ice-server", "turn:"+coturn.Address.String()+"?transport="+transport)
			relayedCall(t, server).Says(t, `"relayProtocol":"`+transport+`"`)
		})
	}
}

// A TURN server may redirect allocations to another one (RFC 8489 section 10).
func TestAlternateTURNServer(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			alternate := coturntest.Start(t, "north")
			first := coturntest.Start(t, "north", "--alternate-server", alternate.Address.String())
			_, server, _ := e2etest.ServeEvents(t, "--turn-secret", "north", "--ice-server", "turn:"+first.Address.String()+"?transport="+transport)
			relayedCall(t, server).Says(t, `"relayProtocol":"`+transport+`"`)
		})
	}
}

func TestRelayedThroughOurs(t *testing.T) {
	at := netip.AddrPortFrom(coturntest.LocalAddress(t), 0).String()
	for what, at := range map[string]string{"by what the login hands out": at, "at all addresses": ":0"} {
		t.Run(what, func(t *testing.T) {
			_, server, _ := e2etest.ServeEvents(t, "--turn", at, "--turn-open")
			relayedCall(t, server)
		})
	}
	t.Run("over TCP", func(t *testing.T) {
		_, _, events := e2etest.ServeEvents(t, "--turn", at, "--turn-open", "--turn-secret", "north")
		url := ""
		for _, e := range events {
			if e["event"] == "turn-listening" {
				for _, u := range e["urls"].([]any) {
					if strings.HasSuffix(u.(string), "transport=tcp") {
						url = u.(string)
					}
				}
			}
		}
		user, password := turnserver.Credentials{Secret: "north"}.Make("alice")
		_, server, _ := e2etest.ServeEvents(t)
		relayedCall(t, server, "--ice-server", url+","+user+","+password)
	})
}

// relayOnly makes a page use relays alone, and keeps its connections.
const relayOnly = `(() => {
	const Native = RTCPeerConnection;
	window.connections = [];
	window.RTCPeerConnection = class extends Native {
		constructor(configuration) {
			super({...configuration, iceTransportPolicy: 'relay'});
			window.connections.push(this);
		}
	};
})()`

// A tab that may go through relays alone finds one in what its login hands out.
func TestTabRelayed(t *testing.T) {
	e2etest.InBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		page, server, _ := e2etest.ServeEvents(t, "--turn", netip.AddrPortFrom(coturntest.LocalAddress(t), 0).String(), "--turn-open")
		bob := e2etest.Start(t, "answer", "--server", server, "--as", "bob", "--once", "--output", "ndjson", "--ice-policy", "relay",
			"--video", "test", "--audio", "tone:600", "--say", "hello tab", "--expect", "text=hello terminal", "--expect", "video.frames>=10", "--linger", "2m")
		bob.Says(t, `"event":"login"`)
		tab := b.NewTab()
		tab.Preload(relayOnly)
		tab.Go(page + "/?as=tab&call=bob&say=hello+terminal")
		e2etest.Talking(tab)
		e2etest.ChatHas(tab, "hello tab")
		e2etest.SeesAndHears(t, tab, 600)
		bob.Says(t, `"check":"video.frames`)
		tab.Wait(`(async () => {
			const report = [...(await connections.at(-1).getStats()).values()];
			const pair = report.find(s => s.type === 'candidate-pair' && s.nominated && s.state === 'succeeded');
			return pair && report.find(s => s.id === pair.localCandidateId).candidateType === 'relay';
		})()`)
		tab.Click("#hangUpBtn")
		bob.Ends(t, 0)
		isRelayed(t, bob)
		tab.NoErrors()
		tab.Close()
	})
}
