//go:build linux

package network

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/signal/turnserver/coturntest"
)

// goesBy checks that the pairs of both ends are of relays at one address.
func goesBy(t *testing.T, address string, ends ...[]e2etest.Event) {
	t.Helper()
	at := "relay " + address + ":"
	for _, events := range ends {
		pair := lastPair(t, events)
		if !strings.HasPrefix(fmt.Sprint(pair["local"]), at) || !strings.HasPrefix(fmt.Sprint(pair["remote"]), at) {
			t.Errorf("the pair is %v, want relays at %s", pair, address)
		}
	}
}

// Hosts with IPv6 alone reach relays, ours and coturn, and who has IPv4 alone
// through a relay with both.
func TestNetworkIPv6Relays(t *testing.T) {
	t.Parallel()
	const six, four, both = "ws://[2001:db8::1]:9091", "ws://203.0.113.1:9092", "ws://[2001:db8::1]:9092"
	relayOnly := []string{"--ice-policy", "relay"}
	l := newNetwork(t)
	l.wan.parley(t, "serve", "--listen", "[2001:db8::1]:9091", "--turn", "[2001:db8::1]:3478", "--turn-open").Says(t, "signaling on")
	l.wan.parley(t, "serve", "--listen", ":9092", "--turn", ":3479", "--turn-open").Says(t, "signaling on")
	a, b := l.public("alice", "2001:db8::a/64"), l.public("bob", "2001:db8::b/64")
	t.Run("ours", func(t *testing.T) {
		alice, bob := talk(t, a, b, six, relayOnly, relayOnly)
		goesBy(t, "[2001:db8::1]", alice, bob)
	})
	t.Run("coturn", func(t *testing.T) {
		command := func(name string, args ...string) *exec.Cmd { return l.wan.command(append([]string{name}, args...)...) }
		coturntest.StartAt(t, command, netip.MustParseAddrPort("[2001:db8::1]:3480"), "north")
		for i, transport := range []string{"udp", "tcp"} {
			at := fmt.Sprintf("[2001:db8::1]:%d", 9093+i)
			l.wan.parley(t, "serve", "--listen", at, "--turn-secret", "north", "--ice-server", "turn:[2001:db8::1]:3480?transport="+transport).Says(t, "signaling on")
			alice, bob := talk(t, a, b, "ws://"+at, relayOnly, relayOnly)
			goesBy(t, "[2001:db8::1]", alice, bob)
		}
	})
	t.Run("others are seen at their own address", func(t *testing.T) {
		alice, _ := talk(t, a, b, six, nil, nil)
		seen := 0
		for _, e := range alice {
			if e.Has([]string{"event=candidate", "side=local", "type=srflx"}) && strings.HasPrefix(fmt.Sprint(e["address"]), "[2001:db8::a]:") {
				seen++
			}
		}
		if seen == 0 {
			t.Error("STUN over IPv6 returned no address")
		}
	})
	t.Run("doctor", func(t *testing.T) {
		b.parley(t, "answer", "--as", "dave", "--server", six).Says(t, "waiting for calls")
		p := a.parley(t, "doctor", "--server", six, "--ice-policy", "relay", "dave")
		p.Ends(t, 0)
		for _, want := range []string{
			`^ok    stun       stun:\[2001:db8::1\]:3478 sees us at \[2001:db8::a\]:`,
			`^ok    turn       turn:\[2001:db8::1\]:3478\?transport=udp sees us at \[2001:db8::a\]:[0-9]+, .*, and relays for us at \[2001:db8::1\]:`,
			`^ok    turn       turn:\[2001:db8::1\]:3478\?transport=tcp sees us at \[2001:db8::a\]:[0-9]+, .*, and relays for us at \[2001:db8::1\]:`,
			`^ok    nat        none: others see the address that this machine has`,
			`^ok    call       connected to dave`,
			`^ok    pair       relay \[2001:db8::1\]:[0-9]+ to .*: selected`,
		} {
			p.Says(t, "(?m)"+want)
		}
	})
	t.Run("without UDP", func(t *testing.T) {
		a.cut(allUDP)
		defer a.mend()
		alice, bob := talk(t, a, b, six, relayOnly, relayOnly)
		goesBy(t, "[2001:db8::1]", alice, bob)
	})
	t.Run("with who has IPv4 alone", func(t *testing.T) {
		c := l.public("carol", "203.0.113.12/24")
		at := []string{"--server", four} // the last one counts
		alice, carol := talk(t, a, c, both, nil, at)
		goesBy(t, "203.0.113.1", alice, carol)
		p := a.parley(t, "doctor", "--server", both)
		p.Ends(t, 0)
		p.Says(t, `(?m)^ok    turn       turn:\[2001:db8::1\]:3479\?transport=udp sees us at \[2001:db8::a\]:[0-9]+, .*, and relays for us at 203.0.113.1:`)
		p.Says(t, `(?m)^bad   turn       turn:203.0.113.1:3479\?transport=udp: no route to the server; `)
	})
}
