//go:build !quick

package server_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/signal"
	"parley/signal/cluster"
	"parley/signal/cluster/nats"
	"parley/signal/cluster/natsserver"
	"parley/signal/cluster/natstest"
	signaling "parley/signal/server"
	"parley/signal/whip"
	"parley/signal/whip/client"
	whipserver "parley/signal/whip/server"
)

// startNode returns a node that a gateway uses.
func startNode(t *testing.T, broker string, lease time.Duration) *nats.Node {
	t.Helper()
	n, err := nats.Start(t.Context(), nats.Options{Servers: []string{broker}, Host: t.Name(), Lease: lease})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

// balance returns a site whose requests go to the site that choose returns.
func balance(t *testing.T, choose func(*http.Request) *site) *site {
	t.Helper()
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		u, err := url.Parse(choose(r.In).url)
		if err != nil {
			t.Error(err)
			return
		}
		r.SetURL(u)
	}})
	t.Cleanup(proxy.Close)
	return &site{t: t, url: proxy.URL}
}

// elsewhere returns a site that sends requests for sessions to a node that does not have them.
func elsewhere(t *testing.T, options signaling.Options, gateway whipserver.Options) *site {
	t.Helper()
	broker := natstest.Start(t, natsserver.Options{})
	var nodes [2]*site
	for i := range nodes {
		options.Cluster = startNode(t, broker.URL, 0)
		nodes[i] = start(t, options, gateway)
	}
	return balance(t, func(r *http.Request) *site {
		if strings.Count(r.URL.Path, "/") == 3 {
			return nodes[1]
		}
		return nodes[0]
	})
}

// TestSessionElsewhere has the requests of a session come to another node than the offer.
func TestSessionElsewhere(t *testing.T) {
	testSession(t, elsewhere(t, signaling.Options{}, patient))
}

// TestTokensElsewhere does so where tokens are required.
func TestTokensElsewhere(t *testing.T) {
	testTokens(t, elsewhere(t, signaling.Options{Auth: someTokens()}, whipserver.Options{}))
}

// TestAlternation has a balancer send every request of our own client to the next of two nodes.
func TestAlternation(t *testing.T) {
	broker := natstest.Start(t, natsserver.Options{})
	nodes := [2]*site{
		start(t, signaling.Options{Cluster: startNode(t, broker.URL, 0)}, whipserver.Options{}),
		start(t, signaling.Options{Cluster: startNode(t, broker.URL, 0)}, whipserver.Options{}),
	}
	var mu sync.Mutex
	next := 0
	s := balance(t, func(*http.Request) *site {
		mu.Lock()
		defer mu.Unlock()
		next++
		return nodes[next%2]
	})
	others := nodes[0].signIn("bob", "").answers(nil)
	endpoint, err := whip.ParseEndpoint(strings.Replace(s.url, "http://", "whip://", 1) + "/whip/bob")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for round := range 2 {
		c := client.New(endpoint, client.Options{})
		defer c.Close()
		if _, err := c.Post(ctx, publishOffer); err != nil {
			t.Fatal(err)
		}
		ufrag := "abcd"
		for i := range 3 {
			f := &whip.Fragment{Ufrag: ufrag, Pwd: "0123456789abcdef01234567", End: true}
			if err := c.Trickle(ctx, f); err != nil {
				t.Errorf("round %d, candidates %d: %v", round, i, err)
			}
			f.Ufrag = []string{"efgh", "ijkl", "mnop"}[i]
			if theirs, err := c.Restart(ctx, f); err != nil || theirs.Ufrag != "user"+f.Ufrag {
				t.Errorf("round %d, ICE restart %d: got %+v, %v", round, i, theirs, err)
			}
			ufrag = f.Ufrag
		}
		if err := c.Delete(ctx); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		for m := range others {
			if m.Type == signal.Leave {
				break
			}
		}
		next++ // so that the other node answers the next offer
	}
}

// TestNodeOfSessionEnds requests sessions of a node that has left, of one that cannot be reached
// and of one that never was.
func TestNodeOfSessionEnds(t *testing.T) {
	broker := natstest.Start(t, natsserver.Options{})
	node := startNode(t, broker.URL, time.Second)
	here := start(t, signaling.Options{Cluster: node}, whipserver.Options{})
	gone := startNode(t, broker.URL, time.Second)
	there := start(t, signaling.Options{Cluster: gone}, whipserver.Options{})
	here.signIn("bob", "").answers(nil)
	location := there.post("/whip/bob", publishOffer).want(t, "POST", http.StatusCreated).Header.Get("Location")
	here.do("GET", location, "").want(t, "GET while the node is there", http.StatusNoContent)
	there.gateway.Close()
	_ = there.signaling.Close()
	_ = gone.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for { // until the other node has seen that
		r := here.do("DELETE", location, "")
		if r.StatusCode == http.StatusNotFound {
			break
		}
		if r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" || ctx.Err() != nil {
			t.Fatalf("DELETE after the end of the node: got %d %q, want 503 with Retry-After, and then 404", r.StatusCode, r.text)
		}
	}
	for what, key := range map[string]string{
		"no node":   "0123456789abcdef-AAAAAAAAAAAAAAAAAAAAAAAAAA",
		"own node":  node.ID().String() + "-AAAAAAAAAAAAAAAAAAAAAAAAAA",
		"no key":    "0123456789abcdef",
		"no number": "0123456789abcdeg-AAAAAAAAAAAAAAAAAAAAAAAAAA",
	} {
		here.do("DELETE", "/whip/bob/"+key, "").want(t, what, http.StatusNotFound)
	}
	here.patch("/whip/bob/0123456789abcdef-A", strings.Repeat("a", whip.MaxFragment+1), "*").want(t, "a long body", http.StatusRequestEntityTooLarge)
	broker.Kill()
	for node.Ready() == nil && ctx.Err() == nil { // until the node has noticed
		time.Sleep(time.Millisecond)
	}
	r := here.do("DELETE", location, "").want(t, "DELETE without NATS", http.StatusServiceUnavailable)
	if r.Header.Get("Retry-After") == "" {
		t.Error("DELETE without NATS: no Retry-After")
	}
}

// TestRequestOfAnotherNode sends a gateway what no gateway sends.
func TestRequestOfAnotherNode(t *testing.T) {
	broker := natstest.Start(t, natsserver.Options{})
	node, other := startNode(t, broker.URL, 0), startNode(t, broker.URL, 0)
	start(t, signaling.Options{Cluster: node}, whipserver.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, request := range []string{
		"", "null", "x", "{}", `{"method":"DELETE","path":"/whip/bob"}`, `{"method":"DELETE","path":"/whip/bob/x","address":"::1"}`,
		`{"method":"DELETE","path":"/whip/bob/` + other.ID().String() + `-x"}`, `{"method":"a b","path":"/whip/bob/x"}`,
		`{"method":"PATCH","path":"/whip/bob/x","header":{"If-Match":null,"Authorization":["` + strings.Repeat("a", 100000) + `"]}}`,
	} {
		reply, err := other.Request(ctx, node.ID(), []byte(request))
		for errors.Is(err, cluster.ErrUnavailable) && ctx.Err() == nil { // the subscription is on its way
			reply, err = other.Request(ctx, node.ID(), []byte(request))
		}
		if err != nil || !strings.HasPrefix(string(reply), `{"status":404,`) {
			t.Errorf("%.80s: got %s, %v; want status 404", request, reply, err)
		}
	}
	if _, err := other.Request(ctx, cluster.NodeID{1}, nil); err != cluster.ErrAbsent {
		t.Errorf("request to no node: got %v, want %v", err, cluster.ErrAbsent)
	}
}

// TestCluster publishes at one node to a user of another, who then goes.
func TestCluster(t *testing.T) {
	broker := natstest.Start(t, natsserver.Options{})
	here := start(t, signaling.Options{Cluster: startNode(t, broker.URL, 0)}, whipserver.Options{})
	there := start(t, signaling.Options{Cluster: startNode(t, broker.URL, 0)}, whipserver.Options{})
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
