//go:build linux

package network

import (
	"strings"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// publish publishes by WHIP from the first host to bob at the second one, through the server on
// wan.
func publish(t *testing.T) *faulty {
	t.Helper()
	f := &faulty{t: t, lab: newNetwork(t)}
	f.server = f.lab.signaling("--whip")
	f.hosts = [2]*host{f.lab.public("alice", "203.0.113.11/24"), f.lab.public("bob", "203.0.113.12/24")}
	f.bob = f.hosts[1].parley(t, "answer", "--as", "bob", "--once", "--server", labServer, "--output", "ndjson", "--stats-interval", "500ms")
	f.bob.Says(t, `"event":"login"`)
	f.alice = f.hosts[0].parley(t, "call", strings.Replace(labServer, "ws", "whip", 1)+"/whip/bob", "--video", "test", "--audio", "test", "--output", "ndjson", "--stats-interval", "500ms")
	f.flows(f.bob, 0)
	return f
}

// A publisher gets another address: ICE is restarted by PATCH in the same session, also where the
// connection to the server was open from the address that is gone.
func TestNetworkWHIPAddressChange(t *testing.T) {
	t.Parallel()
	f := publish(t)
	mark := f.marks()
	f.hosts[0].address("del", "203.0.113.11/24")
	f.hosts[0].address("add", "203.0.113.31/24")
	f.waits(f.alice, mark[0], "restart by PATCH", func(e e2etest.Event) bool { return e.Has([]string{"event=request", "method=PATCH", "status=200"}) })
	f.waits(f.alice, mark[0], "new pair", func(e e2etest.Event) bool {
		local, _ := e["local"].(string)
		return e["event"] == "pair" && strings.Contains(local, "203.0.113.31:")
	})
	f.flows(f.bob, f.marks()[1])
	f.without(f.alice, mark[0], "event=request", "method=POST")
	f.without(f.alice, mark[0], "event=request", "status=0") // of a PATCH on the old connection
	for i, p := range f.both() {
		f.without(p, mark[i], "event=state", "connection=failed")
		f.without(p, mark[i], "event=end")
	}
	f.hangUp()
	if out := f.alice.Out.Complete(); !strings.Contains(out, `"method":"DELETE"`) {
		t.Errorf("the session was not deleted: %s", out)
	}
}

// The user that a publisher is connected to gets another address, and may send no offer: the
// publisher, whose path is silent, restarts ICE by PATCH, and gets the new address in the response.
func TestNetworkWHIPUserAddressChange(t *testing.T) {
	t.Parallel()
	f := publish(t)
	mark := f.marks()
	f.hosts[1].address("del", "203.0.113.12/24")
	f.hosts[1].address("add", "203.0.113.32/24")
	f.waits(f.alice, mark[0], "restart by PATCH", func(e e2etest.Event) bool { return e.Has([]string{"event=request", "method=PATCH", "status=200"}) })
	f.waits(f.alice, mark[0], "new pair", func(e e2etest.Event) bool {
		remote, _ := e["remote"].(string)
		return e["event"] == "pair" && strings.Contains(remote, "203.0.113.32:")
	})
	f.flows(f.bob, f.marks()[1])
	f.without(f.alice, mark[0], "event=request", "method=POST")
	for i, p := range f.both() {
		f.without(p, mark[i], "event=end")
	}
	f.hangUp()
}
