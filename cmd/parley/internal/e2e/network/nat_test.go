//go:build linux

package network

import (
	"fmt"
	"strings"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// nat is a kind of NAT by the properties of RFC 4787: to whom a port outside
// belongs (mapping), and who gets in through it (filtering).
type nat string

const (
	noNAT         nat = "no NAT"
	fullCone      nat = "full cone"       // endpoint-independent mapping and filtering
	restricted    nat = "restricted"      // endpoint-independent mapping, address-dependent filtering
	portRestrict  nat = "port restricted" // endpoint-independent mapping, address- and port-dependent filtering
	symmetric     nat = "symmetric"       // address- and port-dependent mapping and filtering
	natUDPTimeout     = "5m"
)

// rules are the nftables of a NAT between the interfaces in and out. Linux keeps
// the port of a host when it masquerades, as long as it is free, whatever the
// packet is for: with one host inside that is endpoint-independent mapping, and
// its connection tracking filters by address and port. The two milder filters
// remember whom the host has sent to, and let those in at its port. A packet
// that comes uninvited is dropped before it takes up the port.
//
// The ports of the symmetric one are drawn: towards the STUN and TURN server from
// one range, towards relays from another, and towards all others from a third. So
// the port that is used towards a peer is never by chance, as once in a thousand
// runs, the one that the peer was sent, and has let in.
func (n nat) rules() string {
	remember, admit, masquerade := "", "", `oifname "out" masquerade`
	switch n {
	case fullCone:
		remember = `oifname "out" ip protocol udp update @sent { udp sport : ip saddr }`
		admit = `iifname "out" meta l4proto udp dnat to udp dport map @sent`
	case restricted:
		remember = `oifname "out" ip protocol udp update @known { ip daddr . udp sport : ip saddr }`
		admit = `iifname "out" meta l4proto udp dnat to ip saddr . udp dport map @known`
	case symmetric:
		masquerade = `oifname "out" ip daddr 203.0.113.1 udp dport 3478 masquerade to :1024-19999 fully-random;
			oifname "out" ip daddr 203.0.113.1 meta l4proto udp masquerade to :20000-39999 fully-random;
			oifname "out" meta l4proto udp masquerade to :40000-65535 fully-random;
			oifname "out" masquerade`
	}
	return fmt.Sprintf(`table ip nat {
		map sent { type inet_service : ipv4_addr; flags dynamic,timeout; timeout %[1]s; }
		map known { type ipv4_addr . inet_service : ipv4_addr; flags dynamic,timeout; timeout %[1]s; }
		chain pre { type nat hook prerouting priority dstnat; %[2]s; }
		chain post { type nat hook postrouting priority srcnat; %[3]s; %[4]s; }
	}
	table ip filter {
		chain input { type filter hook input priority filter; policy drop; ct state established,related accept; iifname "in" accept; }
		chain forward { type filter hook forward priority filter; policy drop; ct state established,related accept;
			iifname "in" accept; ct status dnat accept; }
	}`, natUDPTimeout, admit, remember, masquerade)
}

// behind adds a host 10.0.N.2 that is behind a NAT 203.0.113.N, or without one is
// 203.0.113.N itself.
func (l *lab) behind(name string, kind nat, n int) *host {
	l.t.Helper()
	if kind == noNAT {
		return l.public(name, fmt.Sprintf("203.0.113.%d/24", n))
	}
	router := l.hold(name+"'s router", l.wan)
	far := l.cable(router, "out", l.wan)
	l.wan.sh("ip link set " + far + " master net")
	h := l.hold(name, l.wan)
	far = l.cable(h, "eth", router)
	router.sh(fmt.Sprintf(`ip link set %s down
		ip link set %s name in
		ip link set in up
		ip addr add 203.0.113.%d/24 dev out
		ip addr add 10.0.%d.1/24 dev in
		echo 1 >/proc/sys/net/ipv4/ip_forward`, far, far, n, n))
	router.nft(kind.rules())
	h.sh(fmt.Sprintf("ip addr add 10.0.%d.2/24 dev eth\nip route add default via 10.0.%d.1", n, n))
	h.router = router
	return h
}

// path is how a call goes.
type path string

const (
	hostPath      path = "host"
	reflexivePath path = "reflexive"
	relayPath     path = "relay"
)

// expectedPath is what can be had between two kinds: a symmetric NAT's port
// towards the peer is known to nobody before it is used, so the peer's filter
// must not look at ports.
func expectedPath(a, b nat) path {
	filtersPorts := func(n nat) bool { return n == portRestrict || n == symmetric }
	switch {
	case a == noNAT && b == noNAT:
		return hostPath
	case a == symmetric && filtersPorts(b), b == symmetric && filtersPorts(a):
		return relayPath
	}
	return reflexivePath
}

// cell is what was selected in one call: what each side found the other at.
type cell struct{ caller, answerer string }

// path sums it up. What a side itself is behind it does not see: the other does.
func (c cell) path() path {
	switch {
	case c.caller == "relay" || c.answerer == "relay":
		return relayPath
	case c.caller == "host" && c.answerer == "host":
		return hostPath
	}
	return reflexivePath
}

func (c cell) String() string { return fmt.Sprintf("%s (%s, %s)", c.path(), c.caller, c.answerer) }

// selected is the address at which p found the peer of its latest call. Of a
// relayed call it does not matter whose relay it was.
func selected(t *testing.T, p *e2etest.Process, peer string) string {
	t.Helper()
	events, err := e2etest.ReadEvents(p.Out.String())
	if err != nil {
		t.Fatal(err)
	}
	found := ""
	for _, e := range events {
		if !e.Has([]string{"event=pair", "peer=" + peer}) {
			continue
		}
		found, _, _ = strings.Cut(fmt.Sprint(e["remote"]), " ")
		if e["relayed"] == true {
			found = "relay"
		}
	}
	if found == "" {
		t.Fatalf("no pair with %s was selected in\n%s", peer, p.Out)
	}
	return found
}

// TestNetworkNATMatrix calls from behind each kind of NAT to behind each other.
func TestNetworkNATMatrix(t *testing.T) {
	t.Parallel()
	kinds := []nat{noNAT, fullCone, restricted, portRestrict, symmetric}
	l := newNetwork(t)
	l.serve()
	callers, answerers := make([]*host, len(kinds)), make([]*e2etest.Process, len(kinds))
	for i, kind := range kinds {
		callers[i] = l.behind("a caller behind "+string(kind), kind, 10+i)
		answerer := l.behind("an answerer behind "+string(kind), kind, 20+i)
		answerers[i] = answerer.parley(t, "answer", "--as", fmt.Sprint("answerer", i), "--server", labServer, "--output", "ndjson")
		answerers[i].Says(t, `"event":"login"`)
	}
	cells := callAll(t, kinds, callers, answerers)
	var table strings.Builder
	fmt.Fprintf(&table, "%-16s", "from \\ to")
	for _, kind := range kinds {
		fmt.Fprintf(&table, "| %-26s", kind)
	}
	for i, from := range kinds {
		fmt.Fprintf(&table, "\n%-16s", from)
		for j, to := range kinds {
			cell := cells[i][j]
			fmt.Fprintf(&table, "| %-26s", cell)
			want := expectedPath(from, to)
			if want == hostPath && cell.path() == reflexivePath {
				continue // seen by the server at its own address, on another port
			}
			if cell.path() != want {
				t.Errorf("from %s to %s: the path is %s, want %s", from, to, cell, want)
			}
		}
	}
	t.Logf("what was selected:\n%s", table.String())
}

// callAll makes the calls, each caller on its own.
func callAll(t *testing.T, kinds []nat, callers []*host, answerers []*e2etest.Process) [][]cell {
	t.Helper()
	cells := make([][]cell, len(kinds))
	t.Run("calls", func(t *testing.T) {
		for i, from := range kinds {
			cells[i] = make([]cell, len(kinds))
			t.Run(string(from), func(t *testing.T) {
				t.Parallel()
				for j, to := range kinds {
					cells[i][j] = callThrough(t, callers[i], i, answerers[j], j, expectedPath(from, to))
				}
			})
		}
	})
	return cells
}

// callThrough makes a call. A direct path that is found late, on a busy machine,
// loses against the relay; so where there should be one, the relay gets two more
// tries to lose.
func callThrough(t *testing.T, from *host, i int, answerer *e2etest.Process, j int, want path) (c cell) {
	t.Helper()
	for try := range 3 {
		caller, to := fmt.Sprintf("caller%d%d%d", i, j, try), fmt.Sprint("answerer", j)
		p := from.parley(t, "call", to, "--as", caller, "--server", labServer, "--output", "ndjson", "--expect", "connected", "--linger", "0s")
		p.Ends(t, 0)
		answerer.Says(t, fmt.Sprintf(`"event":"end","peer":"%s"`, caller))
		c = cell{caller: selected(t, p, to), answerer: selected(t, answerer, caller)}
		if want == relayPath || c.path() != relayPath {
			break
		}
	}
	return c
}
