//go:build linux

package network

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// Where multicast works, a name ending in .local is an address.
func TestNetworkMulticastDNS(t *testing.T) {
	t.Parallel()
	l := newNetwork(t)
	l.wan.parley(t, "serve", "--listen", ":9090").Says(t, "signaling on")
	for _, c := range []struct{ name, a, b, server, script string }{
		{"IPv4", "203.0.113.11/24", "203.0.113.12/24", labServer, "ip route add 224.0.0.0/4 dev eth"},
		{"IPv6", "2001:db8::21/64", "2001:db8::22/64", "ws://[2001:db8::1]:9090", "true"},
		{"IPv6 is off", "203.0.113.31/24", "203.0.113.32/24", labServer, "ip route add 224.0.0.0/4 dev eth\necho 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := l.public("alice", c.a), l.public("bob", c.b)
			for _, h := range []*host{a, b} {
				h.sh(c.script)
			}
			resolves(t, a, b, c.server)
		})
	}
}

func resolves(t *testing.T, a, b *host, server string) {
	t.Helper()
	program, err := exec.LookPath("hidden-peer")
	if err != nil {
		t.Fatal(err)
	}
	bob := e2etest.Launch(t, b.command(program, server, "bob"), []string{"hidden-peer"})
	bob.Says(t, "hidden")
	alice := a.parley(t, "call", "bob", "--server", server, "--expect", "connected", "--output", "ndjson")
	alice.Ends(t, 0)
	bob.Ends(t, 0)
	events, err := e2etest.ReadEvents(alice.Out.String())
	if err != nil {
		t.Fatal(err)
	}
	if pair := lastPair(t, events); !strings.HasPrefix(fmt.Sprint(pair["remote"]), "host ") {
		t.Errorf("the pair is %v", pair)
	}
}
