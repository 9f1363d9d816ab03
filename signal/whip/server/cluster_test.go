//go:build !quick

package server_test

import (
	"net/http"
	"testing"

	"parley/signal"
	"parley/signal/cluster/nats"
	"parley/signal/cluster/natsserver"
	"parley/signal/cluster/natstest"
	signaling "parley/signal/server"
	whipserver "parley/signal/whip/server"
)

// TestCluster publishes at one node to a user of another, who then goes.
func TestCluster(t *testing.T) {
	broker := natstest.Start(t, natsserver.Options{})
	node := func() *nats.Node {
		n, err := nats.Start(t.Context(), nats.Options{Servers: []string{broker.URL}, Host: t.Name()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = n.Close() })
		return n
	}
	here := start(t, signaling.Options{Cluster: node()}, whipserver.Options{})
	there := start(t, signaling.Options{Cluster: node()}, whipserver.Options{})
	bob := there.signIn("bob", "")
	others := bob.answers(nil)
	r := here.post("/whip/bob", publishOffer).want(t, "POST", http.StatusCreated)
	location := r.Header.Get("Location")
	here.patch(location, "a=ice-ufrag:abcd\r\na=candidate:1 1 udp 1 192.0.2.7 9 typ host\r\n", r.Header.Get("ETag")).want(t, "trickle", http.StatusNoContent)
	if m := <-others; m.Type != signal.ICECandidate {
		t.Errorf("got %+v, want the candidate", m)
	}
	here.patch(location, "a=ice-ufrag:efgh\r\na=ice-pwd:ffffffffffffffffffffffff\r\n", "*").want(t, "restart", http.StatusOK)
	here.do("DELETE", location, "").want(t, "DELETE", http.StatusOK)
	if m := <-others; m.Type != signal.Leave {
		t.Errorf("got %+v, want a leave", m)
	}
	here.post("/whip/eve", publishOffer).want(t, "nobody at any node", http.StatusNotFound)
	r = here.post("/whep/bob", playOffer).want(t, "a user who sends nothing", http.StatusConflict)
	if r.Header.Get("Retry-After") == "" {
		t.Error("the conflict has no Retry-After")
	}
}
