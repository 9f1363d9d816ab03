//go:build linux

package network

import (
	"fmt"
	"testing"
)

// TestNetworkDoctor: each thing that stands in the way of a call is called by its name.
func TestNetworkDoctor(t *testing.T) {
	t.Parallel()
	l := newNetwork(t)
	l.serve()
	asks := func(t *testing.T, h *host, code int, args []string, want ...string) {
		t.Helper()
		p := h.parley(t, append([]string{"doctor", "--server", labServer}, args...)...)
		p.Ends(t, code)
		for _, w := range want {
			p.Says(t, "(?m)"+w)
		}
	}
	bob := l.behind("bob", symmetric, 12)
	bob.parley(t, "answer", "--as", "bob", "--server", labServer).Says(t, "waiting for calls")
	for _, c := range []struct {
		n    int
		kind nat
		want string
	}{
		{21, noNAT, `^ok    nat        none: others see the address that this machine has; it lets in who we have sent to, from any port`},
		{22, fullCone, `^ok    nat        friendly, at 203.0.113.22: .*; it lets in who we have sent to, from any port$`},
		{23, restricted, `^ok    nat        friendly, at 203.0.113.23: .*; it lets in who we have sent to, from any port$`},
		{24, portRestrict, `^ok    nat        friendly, at 203.0.113.24: .*; it lets in nothing but answers`},
		{25, symmetric, `^note  nat        symmetric, at 203.0.113.25: .*; it lets in nothing but answers`},
	} {
		t.Run(string(c.kind), func(t *testing.T) {
			asks(t, l.behind("a host", c.kind, c.n), 0, nil, c.want, `^ok    turn       turn:203.0.113.1:3478\?transport=udp sees us at`)
		})
	}
	t.Run("hairpin", func(t *testing.T) {
		h := l.behind("a host", fullCone, 26)
		h.router.nft(`table ip hairpin {
			chain pre { type nat hook prerouting priority -110; iifname "in" ip daddr 203.0.113.26 meta l4proto udp dnat to 10.0.26.2; }
			chain post { type nat hook postrouting priority 90; oifname "in" ip saddr 10.0.26.0/24 masquerade; }
		}`)
		asks(t, h, 0, nil, `^ok    nat        friendly, at 203.0.113.26: .*; two inside reach each other by their outside addresses$`)
	})
	t.Run("STUN servers alone", func(t *testing.T) {
		l := newNetwork(t)
		l.signaling()
		l.wan.sh("ip addr add 203.0.113.2/24 dev net")
		stun := []string{}
		for i, at := range []string{"203.0.113.1:3478", "203.0.113.2:3478"} {
			l.wan.parley(t, "serve", "--listen", fmt.Sprintf("203.0.113.1:%d", 9100+i), "--turn", at, "--turn-open").Says(t, "signaling on")
			stun = append(stun, "--ice-server", "stun:"+at)
		}
		asks(t, l.behind("a host", portRestrict, 27), 0, stun[:2], `^ok    nat        others see this network at 203.0.113.27; what kind of NAT that is`)
		asks(t, l.behind("a host", portRestrict, 28), 0, stun, `^ok    nat        friendly, at 203.0.113.28: `)
		asks(t, l.behind("a host", symmetric, 29), 0, stun, `^note  nat        symmetric, at 203.0.113.29: `)
	})
	t.Run("a relay is needed", func(t *testing.T) {
		asks(t, l.behind("a host", symmetric, 31), 0, []string{"bob"}, `^ok    call       connected to bob`,
			`^note  path       through a relay: this network's NAT is symmetric`,
			`^note  pair       host 10.0.31.2:[0-9]+ to srflx 203.0.113.12:[0-9]+, udp: no answer to [0-9]+ checks`)
	})
	t.Run("UDP is blocked", func(t *testing.T) {
		h := l.behind("a host", portRestrict, 32)
		h.router.cut(allUDP)
		asks(t, h, 0, []string{"bob"}, `^bad   turn       turn:203.0.113.1:3478\?transport=udp: no response; the server is down, or a firewall drops UDP to it`,
			`^ok    turn       turn:203.0.113.1:3478\?transport=tcp sees us`, `^note  nat        no UDP gets out of this network, TCP does`,
			`^note  path       through a relay: no UDP gets out of this network`)
	})
	t.Run("TURN is blocked", func(t *testing.T) {
		h := l.behind("a host", symmetric, 33)
		h.cut("meta l4proto { tcp, udp } th dport 3478")
		asks(t, h, 40, nil, `^bad   turn       turn:203.0.113.1:3478\?transport=tcp: no response; the server is down, or a firewall drops TCP to it`,
			`^note  relay      there is no TURN server that works`, `none of the STUN and TURN servers answers as it should`)
	})
	t.Run("UDP and TURN are blocked", func(t *testing.T) {
		h := l.public("a host", "203.0.113.34/24")
		h.cut(allUDP, "tcp dport 3478")
		asks(t, h, 40, []string{"--timeout", "8s", "bob"}, `^bad   stun       stun:203.0.113.1:3478: sending is forbidden by this host's firewall`,
			`^bad   call       gave up after 8s: no connection`, `^note  advice     `,
			`^note  pair       host 203.0.113.34:[0-9]+ to .*: no answer to [0-9]+ checks`)
	})
	t.Run("signaling is blocked", func(t *testing.T) {
		h := l.public("a host", "203.0.113.35/24")
		h.cut("tcp dport 9090")
		asks(t, h, 10, nil, `^bad   signaling  .*203.0.113.1:9090.* does not answer`)
	})
	t.Run("no network", func(t *testing.T) {
		asks(t, l.hold("a host", l.wan), 10, nil, `^bad   network    this machine has no address but its own loopback`, `^bad   signaling  `)
	})
}
