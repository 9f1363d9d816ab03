//go:build linux

package network

import (
	"fmt"
	"strings"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// talk makes a call from a to b, in which both say something, and returns what
// each has sent.
func talk(t *testing.T, a, b *host, server string, callerFlags, answererFlags []string) (caller, answerer []e2etest.Event) {
	t.Helper()
	common := []string{"--server", server, "--output", "ndjson"}
	bob := b.parley(t, append(append([]string{"answer", "--as", "bob", "--once", "--say", "hello alice", "--expect", "text=hello bob"}, common...), answererFlags...)...)
	bob.Says(t, `"event":"login"`)
	alice := a.parley(t, append(append([]string{"call", "bob", "--as", "alice", "--say", "hello bob", "--expect", "text=hello alice"}, common...), callerFlags...)...)
	alice.Ends(t, 0)
	bob.Ends(t, 0)
	for _, p := range []*e2etest.Process{alice, bob} {
		events, err := e2etest.ReadEvents(p.Out.String())
		if err != nil {
			t.Fatal(err)
		}
		caller, answerer = answerer, events
	}
	return caller, answerer
}

// lastPair is the pair that was selected.
func lastPair(t *testing.T, events []e2etest.Event) (pair e2etest.Event) {
	t.Helper()
	for _, e := range events {
		if e["event"] == "pair" {
			pair = e
		}
	}
	if pair == nil {
		t.Fatal("no pair was selected")
	}
	return pair
}

// reaches checks that the selected pair goes to an address of the peer without a relay. Which of
// the candidates at that address is chosen is a matter of what is checked first: STUN gives a
// public host server-reflexive ones there, too.
func reaches(t *testing.T, events []e2etest.Event, address string) {
	t.Helper()
	pair := lastPair(t, events)
	if _, at, _ := strings.Cut(fmt.Sprint(pair["remote"]), " "); !strings.HasPrefix(at, address+":") || pair["relayed"] != false {
		t.Errorf("the pair is %v, want one to %s without a relay", pair, address)
	}
}

// all checks every candidate of one side.
func allCandidates(t *testing.T, events []e2etest.Event, side string, fits func(e2etest.Event) bool) {
	t.Helper()
	n := 0
	for _, e := range events {
		if e.Has([]string{"event=candidate", "side=" + side}) {
			n++
			if !fits(e) {
				t.Errorf("a candidate that should not be: %v", e)
			}
		}
	}
	if n == 0 {
		t.Errorf("no %s candidate", side)
	}
}

// Where no UDP goes out, TURN over TCP gets the call through, and without a relay
// TCP itself does.
func TestNetworkUDPBlocked(t *testing.T) {
	t.Parallel()
	t.Run("TURN over TCP", func(t *testing.T) {
		t.Parallel()
		l := newNetwork(t)
		l.serve()
		a, b := l.behind("alice", symmetric, 11), l.behind("bob", symmetric, 12)
		a.cut(allUDP)
		events, _ := talk(t, a, b, labServer, nil, nil)
		if pair := lastPair(t, events); pair["relayed"] != true {
			t.Errorf("the pair is %v", pair)
		}
	})
	for _, listens := range []string{"alice", "bob"} {
		t.Run("ICE over TCP to "+listens, func(t *testing.T) {
			t.Parallel()
			l := newNetwork(t)
			l.signaling()
			a, b := l.public("alice", "203.0.113.11/24"), l.public("bob", "203.0.113.12/24")
			a.cut(allUDP)
			flags := map[string][]string{listens: {"--tcp-port", "7000"}}
			alice, bob := talk(t, a, b, labServer, flags["alice"], flags["bob"])
			for _, events := range [][]e2etest.Event{alice, bob} {
				if pair := lastPair(t, events); pair["protocol"] != "tcp" || pair["relayed"] != false {
					t.Errorf("the pair is %v", pair)
				}
			}
		})
	}
	t.Run("no way at all", func(t *testing.T) {
		t.Parallel()
		l := newNetwork(t)
		l.signaling()
		a, b := l.public("alice", "203.0.113.11/24"), l.public("bob", "203.0.113.12/24")
		a.cut(allUDP)
		bob := b.parley(t, "answer", "--as", "bob", "--once", "--server", labServer)
		bob.Says(t, "waiting for calls")
		alice := a.parley(t, "call", "bob", "--as", "alice", "--server", labServer, "--timeout", "6s")
		alice.Ends(t, 40)
		alice.Says(t, `none of our addresses \(1 candidate: 1 host\) reached one of the peer`)
	})
}

func TestNetworkReach(t *testing.T) {
	t.Parallel()
	l := newNetwork(t)
	l.serve()
	t.Run("IPv6 only", func(t *testing.T) {
		server := "ws://[2001:db8::1]:9091"
		p := l.wan.parley(t, "serve", "--listen", "[2001:db8::1]:9091")
		p.Says(t, "signaling on")
		a, b := l.public("a6", "2001:db8::a/64"), l.public("b6", "2001:db8::b/64")
		alice, _ := talk(t, a, b, server, nil, nil)
		reaches(t, alice, "[2001:db8::b]")
	})
	a, b := l.public("alice", "203.0.113.11/24", "2001:db8::11/64"), l.public("bob", "203.0.113.12/24")
	t.Run("IPv4 with who has both", func(t *testing.T) {
		alice, _ := talk(t, a, b, labServer, nil, nil)
		reaches(t, alice, "203.0.113.12")
	})
	t.Run("relay only", func(t *testing.T) {
		alice, bob := talk(t, a, b, labServer, []string{"--ice-policy", "relay"}, nil)
		allCandidates(t, alice, "local", func(e e2etest.Event) bool { return e["type"] == "relay" })
		for _, events := range [][]e2etest.Event{alice, bob} {
			if pair := lastPair(t, events); pair["relayed"] != true {
				t.Errorf("the pair is %v", pair)
			}
		}
	})
	t.Run("a range of UDP ports", func(t *testing.T) {
		alice, _ := talk(t, a, b, labServer, []string{"--udp-ports", "50000:50009"}, nil)
		allCandidates(t, alice, "local", func(e e2etest.Event) bool {
			return e["type"] != "host" || strings.Contains(fmt.Sprint(e["address"]), ":5000")
		})
	})
	t.Run("one UDP port", func(t *testing.T) {
		alice, _ := talk(t, a, b, labServer, []string{"--udp-ports", "50500:50500"}, nil)
		allCandidates(t, alice, "local", func(e e2etest.Event) bool {
			return e["type"] != "host" || strings.HasSuffix(fmt.Sprint(e["address"]), ":50500")
		})
	})
}

// Several calls at once go by one UDP port, also one that comes by IPv6.
func TestNetworkOnePortForAll(t *testing.T) {
	t.Parallel()
	l := newNetwork(t)
	l.wan.parley(t, "serve", "--listen", ":9090").Says(t, "signaling on")
	b := l.public("bob", "203.0.113.12/24", "2001:db8::12/64")
	b.parley(t, "echo", "--as", "bob", "--server", labServer, "--udp-ports", "50500:50500").Says(t, "waiting for calls")
	var callers []*e2etest.Process
	for i, from := range []string{"203.0.113.21/24", "203.0.113.22/24", "2001:db8::23/64"} {
		name, server := fmt.Sprint("caller", i), labServer
		if strings.Contains(from, ":") {
			server = "ws://[2001:db8::1]:9090"
		}
		callers = append(callers, l.public(name, from).parley(t, "call", "bob", "--as", name, "--server", server, "--output", "ndjson",
			"--say", "I am "+name, "--expect", "text=I am "+name, "--linger", "5m"))
	}
	for i, p := range callers {
		p.Says(t, fmt.Sprintf(`"direction":"in","text":"I am caller%d"`, i))
	}
	for _, p := range callers { // all of them are there still
		e2etest.Interrupt(t, p)
		p.Ends(t, 130)
		events, err := e2etest.ReadEvents(p.Out.Complete())
		if err != nil {
			t.Fatal(err)
		}
		if pair := lastPair(t, events); !strings.HasSuffix(fmt.Sprint(pair["remote"]), ":50500") {
			t.Errorf("the pair is %v", pair)
		}
	}
}

// A host behind a one-to-one NAT, as in a cloud, sends the address that it has
// outside; without STUN nobody else could.
func TestNetworkAdvertisedAddress(t *testing.T) {
	t.Parallel()
	l := newNetwork(t)
	l.signaling()
	cloud, caller := l.behind("cloud", fullCone, 12), l.behind("alice", portRestrict, 11)
	cloud.router.nft(`table ip oneToOne {
		chain pre { type nat hook prerouting priority -110; iifname "out" meta l4proto udp dnat to 10.0.12.2; }
	}`)
	alice, bob := talk(t, caller, cloud, labServer, nil, []string{"--advertise-ip", "203.0.113.12"})
	allCandidates(t, bob, "local", func(e e2etest.Event) bool { return strings.HasPrefix(fmt.Sprint(e["address"]), "203.0.113.12:") })
	reaches(t, alice, "203.0.113.12")
}
