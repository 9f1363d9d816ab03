//go:build linux

package network

import (
	"slices"
	"testing"
	"time"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// A host gets another address, whatever its call goes by.
func TestNetworkAddressChangeElsewhere(t *testing.T) {
	const six = "ws://[2001:db8::1]:9091"
	for name, c := range map[string]struct {
		alice, bob, then string // addresses; then is alice's later
		udp              bool
		flags            []string
	}{
		"IPv6":                  {"2001:db8::11/64", "2001:db8::12/64", "2001:db8::31/64", true, []string{"--server", six}},
		"a relay over IPv6":     {"2001:db8::11/64", "2001:db8::12/64", "2001:db8::31/64", true, []string{"--server", six, "--ice-policy", "relay"}},
		"a relay over TCP":      {"203.0.113.11/24", "203.0.113.12/24", "203.0.113.31/24", false, []string{"--ice-policy", "relay"}},
		"ICE over TCP":          {"203.0.113.11/24", "203.0.113.12/24", "203.0.113.31/24", false, []string{"--tcp-port", "7000"}},
		"one UDP port for both": {"203.0.113.11/24", "203.0.113.12/24", "203.0.113.31/24", true, []string{"--udp-ports", "50500:50500"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &faulty{t: t, lab: newNetwork(t)}
			f.server = f.lab.serve()
			f.lab.wan.parley(t, "serve", "--listen", "[2001:db8::1]:9091", "--turn", "[2001:db8::1]:3478", "--turn-open").Says(t, "signaling on")
			f.hosts = [2]*host{f.lab.public("alice", c.alice), f.lab.public("bob", c.bob)}
			if !c.udp {
				f.hosts[0].cut(allUDP)
				f.hosts[1].cut(allUDP)
			}
			f.call(slices.Concat([]string{"--video", "test", "--audio", "test"}, c.flags)...)
			for _, p := range f.both() {
				f.flows(p, 0)
			}
			mark := f.marks()
			f.hosts[0].address("del", c.alice)
			f.hosts[0].address("add", c.then)
			for i, p := range f.both() {
				f.waits(p, mark[i], "new pair", func(e e2etest.Event) bool { return e["event"] == "pair" })
				f.flows(p, f.marks()[i])
				f.without(p, mark[i], "event=state", "connection=failed")
			}
			f.hangUp()
		})
	}
}

// A host gets one more address, and keeps the one of its call: the path works, and stays.
func TestNetworkAddressAdded(t *testing.T) {
	f := newFaulty(t)
	mark := f.marks()
	f.hosts[0].address("add", "203.0.113.31/24")
	f.waits(f.alice, mark[0], "change of addresses", func(e e2etest.Event) bool { return e["event"] == "addresses-changed" })
	during := f.marks()
	for i, p := range f.both() {
		f.flows(p, during[i])
		f.without(p, mark[i], "event=candidate")
		f.without(p, mark[i], "event=pair")
		f.without(p, mark[i], "event=state")
	}
	f.hangUp()
}

// A link that leads nowhere comes, as with a container: calls stay as they are.
func TestNetworkLinkOfOthers(t *testing.T) {
	f := newFaulty(t)
	mark := f.marks()
	f.hosts[0].sh("ip link add other type veth peer name end\nip link set other up\nip link set end up")
	f.hosts[0].sh("until ip -6 addr show dev other scope link -tentative | grep -q fe80; do sleep 0.1; done")
	begin := time.Now()
	for time.Since(begin) < 6*time.Second { // three looks at the addresses
		f.flows(f.alice, f.marks()[0])
	}
	for i, p := range f.both() {
		f.without(p, mark[i], "event=addresses-changed")
		f.without(p, mark[i], "event=pair")
	}
	f.hangUp()
}
