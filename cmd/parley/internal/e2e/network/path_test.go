//go:build linux

package network

import (
	"slices"
	"strings"
	"testing"
	"time"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/cmd/parley/internal/exit"
)

// A path that loses what is longer than 1280 bytes, and returns nobody, carries a
// call: no packet of ours is longer, with IPv6's minimum for the measure (RFC 8200
// §5). One that loses more does not let the DTLS handshake through: the call ends
// with that for a reason.
func TestNetworkShortPackets(t *testing.T) {
	begin := func(t *testing.T, most string, flags ...string) (alice, bob *e2etest.Process) {
		t.Parallel()
		l := newNetwork(t)
		l.signaling()
		a, b := l.public("alice", "203.0.113.11/24"), l.public("bob", "203.0.113.12/24")
		a.cut(allUDP + " meta length > " + most)
		b.cut(allUDP + " meta length > " + most)
		media := []string{"--server", labServer, "--video", "test", "--audio", "test"}
		bob = b.parley(t, append([]string{"answer", "--as", "bob", "--once"}, media...)...)
		bob.Says(t, "waiting for calls")
		return a.parley(t, slices.Concat([]string{"call", "bob", "--as", "alice"}, media, flags)...), bob
	}
	t.Run("1280 bytes", func(t *testing.T) {
		alice, bob := begin(t, "1280", "--say", strings.Repeat("long ", 10_000)+"end", "--expect", "video.frames>=20", "--expect", "audio.packets>=50", "--linger", "1s")
		bob.Says(t, "alice: (long )+end")
		alice.Ends(t, 0)
	})
	t.Run("576 bytes", func(t *testing.T) {
		alice, bob := begin(t, "576", "--timeout", "15s")
		alice.Ends(t, int(exit.Connection))
		alice.Says(t, "the addresses reach each other, but the DTLS handshake failed")
		bob.Ends(t, 0)
	})
}

// A NAT gives a host another port in mid-call, as when it is started anew: the
// host itself does not notice. Who can hear it from there sends there; between two
// NATs another path is looked for, before the connection counts as failed.
func TestNetworkNATRebinding(t *testing.T) {
	for name, alice := range map[string]nat{"the other is public": noNAT, "both are behind one": portRestrict} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &faulty{t: t, lab: newNetwork(t)}
			f.server = f.lab.signaling()
			f.lab.wan.parley(t, "serve", "--listen", "203.0.113.1:9100", "--turn", labRelay, "--turn-open").Says(t, "signaling on")
			f.hosts = [2]*host{f.lab.behind("alice", alice, 11), f.lab.behind("bob", portRestrict, 12)}
			f.call("--video", "test", "--audio", "test", "--ice-server", "stun:"+labRelay)
			for _, p := range f.both() {
				f.flows(p, 0)
			}
			mark, began := f.marks(), time.Now()
			f.hosts[1].router.rebind("203.0.113.12/24")
			f.waits(f.alice, mark[0], "new pair", func(e e2etest.Event) bool { return e["event"] == "pair" })
			for i, p := range f.both() {
				f.flows(p, mark[i])
				f.without(p, mark[i], "event=state", "connection=failed")
			}
			t.Logf("media flow again after %v", time.Since(began).Round(time.Second))
			f.hangUp()
		})
	}
}

// rebind makes a NAT forget its mappings: it masquerades, which does so when the
// address goes, and has other ports from then on, each still one for all who are
// sent to.
func (h *host) rebind(address string) {
	h.t.Helper()
	h.nft(`flush chain ip nat post
		add rule ip nat post oifname "out" meta l4proto udp masquerade to :20000-29999
		add rule ip nat post oifname "out" masquerade`)
	h.sh("ip addr del " + address + " dev out\nip addr add " + address + " dev out")
}
