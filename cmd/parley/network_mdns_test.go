//go:build linux

package main

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// Where multicast works, a name ending in .local is an address.
func TestNetworkMulticastDNS(t *testing.T) {
	t.Parallel()
	l := newNetwork(t)
	l.signaling()
	a, b := l.public("alice", "203.0.113.11/24"), l.public("bob", "203.0.113.12/24")
	for _, h := range []*host{a, b} {
		h.sh("ip route add 224.0.0.0/4 dev eth")
	}
	program, err := exec.LookPath("hidden-peer")
	if err != nil {
		t.Fatal(err)
	}
	bob := launch(t, b.command(program, labServer, "bob"), []string{"hidden-peer"})
	bob.says(t, "hidden")
	alice := a.parley(t, "call", "bob", "--as", "alice", "--server", labServer, "--expect", "connected", "--output", "ndjson")
	alice.ends(t, 0)
	events, err := readEvents(alice.out.String())
	if err != nil {
		t.Fatal(err)
	}
	if pair := lastPair(t, events); !strings.HasPrefix(fmt.Sprint(pair["remote"]), "host ") {
		t.Errorf("the pair is %v", pair)
	}
}
