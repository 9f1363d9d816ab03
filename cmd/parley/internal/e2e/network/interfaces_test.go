//go:build linux

package network

import (
	"fmt"
	"strings"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// localCandidates returns the addresses of the local candidates of a process that are not relayed.
func localCandidates(t *testing.T, p *e2etest.Process) (addresses []string) {
	t.Helper()
	events, err := e2etest.ReadEvents(p.Out.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.Has([]string{"event=candidate", "side=local"}) {
			if address, _ := e["address"].(string); address != "" && e["type"] != "relay" {
				addresses = append(addresses, address)
			}
		}
	}
	return addresses
}

// Two processes on a host with 150 addresses connect. The timeout is what setting up such a call
// may take, the server has its default rate limits.
func TestNetworkManyAddresses(t *testing.T) {
	for name, flags := range map[string][]string{"a port for each call": nil, "one UDP port": {"--udp-ports", "50500:50500"}} {
		t.Run(name, func(t *testing.T) {
			l := newNetwork(t)
			var script strings.Builder
			script.WriteString("ip link set lo up\nip link add d0 type veth peer name d1\nip link set d0 up\nip link set d1 up\n")
			for n := range 150 {
				fmt.Fprintf(&script, "ip addr add 10.99.%d.1/24 dev d0\n", n+1)
			}
			l.wan.sh(script.String())
			l.signaling()
			common := []string{"--server", labServer, "--output", "ndjson", "--verbose"}
			bob := l.wan.parley(t, append(append([]string{"answer", "--as", "bob", "--once"}, common...), flags...)...)
			bob.Says(t, `"event":"login"`)
			alice := l.wan.parley(t, append([]string{"call", "bob", "--as", "alice", "--expect", "connected", "--timeout", "3s"}, common...)...)
			alice.Ends(t, 0)
			bob.Ends(t, 0)
			for _, p := range []*e2etest.Process{alice, bob} {
				if n := len(localCandidates(t, p)); n == 0 || n > 40 {
					t.Errorf("%d local candidates, want 1 to 40", n)
				}
			}
		})
	}
}

// --interface and --exclude-interface choose the interfaces of all candidates, with a port of its
// own for each call and with one for all.
func TestNetworkInterfacePatterns(t *testing.T) {
	for name, tc := range map[string]struct {
		flags    []string
		has, not string // prefixes of addresses
	}{
		"interface":         {[]string{"--interface", "vpn*"}, "10.99.0.", "203.0.113."},
		"exclude-interface": {[]string{"--exclude-interface", "vpn*"}, "203.0.113.", "10.99.0."},
		"both":              {[]string{"--interface", "vpn*", "--interface", "net", "--exclude-interface", "*1"}, "203.0.113.", "10.99.0."},
		"one UDP port":      {[]string{"--interface", "vpn1", "--udp-ports", "50500:50500"}, "10.99.0.", "203.0.113."},
	} {
		t.Run(name, func(t *testing.T) {
			l := newNetwork(t)
			l.wan.sh("ip link set lo up\nip link add vpn1 type veth peer name end\nip link set vpn1 up\nip link set end up\nip addr add 10.99.0.1/24 dev vpn1")
			l.serve()
			common := []string{"--server", labServer, "--output", "ndjson", "--verbose"}
			bob := l.wan.parley(t, append([]string{"answer", "--as", "bob", "--once"}, common...)...)
			bob.Says(t, `"event":"login"`)
			alice := l.wan.parley(t, append(append([]string{"call", "bob", "--as", "alice", "--expect", "connected", "--timeout", "20s"}, common...), tc.flags...)...)
			alice.Ends(t, 0)
			bob.Ends(t, 0)
			found := false
			for _, address := range localCandidates(t, alice) {
				found = found || strings.HasPrefix(address, tc.has)
				if strings.HasPrefix(address, tc.not) {
					t.Errorf("a candidate at %s", address)
				}
			}
			if !found {
				t.Errorf("no candidate at %s in\n%s", tc.has, alice.Out)
			}
		})
	}
}
