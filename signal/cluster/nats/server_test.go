//go:build !quick

package nats_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/signal"
	"parley/signal/client"
	"parley/signal/cluster/nats"
	"parley/signal/cluster/natsserver"
	"parley/signal/cluster/natstest"
	"parley/signal/server"
)

const patience = 30 * time.Second

// signalingServer is a signaling server that is a node.
type signalingServer struct {
	*server.Server
	node *nats.Node
	web  *httptest.Server
	stop sync.Once
}

// startServer starts a node at NATS servers.
func startServer(t *testing.T, lease time.Duration, urls ...string) *signalingServer {
	t.Helper()
	return startServerWith(t, server.Options{}, lease, urls...)
}

func startServerWith(t *testing.T, o server.Options, lease time.Duration, urls ...string) *signalingServer {
	t.Helper()
	node, err := nats.Start(t.Context(), nats.Options{Servers: urls, Lease: lease, Host: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	o.Cluster, o.NodeName, o.Limits = node, node.Name(), server.NoLimits()
	s := &signalingServer{node: node, Server: server.New(&o)}
	s.web = httptest.NewServer(s.Server)
	t.Cleanup(s.end)
	return s
}

func (s *signalingServer) address() string { return s.web.Listener.Addr().String() }

// end ends the server and its node.
func (s *signalingServer) end() {
	s.stop.Do(func() {
		_ = s.Server.Close()
		_ = s.node.Close()
		s.web.Close()
	})
}

// user is a client that is signed in.
type user struct {
	*client.Client
	t      *testing.T
	name   string
	states chan client.State
}

func signIn(t *testing.T, url, name string) *user {
	t.Helper()
	return signInWith(t, url, name, client.Options{Resume: true})
}

func signInWith(t *testing.T, url, name string, o client.Options) *user {
	t.Helper()
	u := &user{t: t, name: name, states: make(chan client.State, 100)}
	o.NoPacing, o.OnState = true, func(s client.State) { u.states <- s }
	c, err := client.Dial(t.Context(), url, &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := c.Login(ctx, name); err != nil {
		t.Fatalf("login of %s: %v", name, err)
	}
	u.Client = c
	return u
}

func (u *user) send(typ signal.Type, to, text string) {
	u.t.Helper()
	m := signal.Message{Type: typ, Peer: to, SDP: text}
	if typ == signal.ICECandidate {
		m = signal.Message{Type: typ, Peer: to, Candidate: &signal.Candidate{Candidate: text}}
	}
	if err := u.Send(u.t.Context(), m); err != nil {
		u.t.Fatal(err)
	}
}

func (u *user) next() signal.Message {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(u.t.Context(), patience)
	defer cancel()
	m, err := u.Receive(ctx)
	if err != nil {
		u.t.Fatalf("%s: no message: %v", u.name, err)
	}
	return m
}

// wants receives the next message and checks its type and sender.
func (u *user) wants(typ signal.Type, from string) signal.Message {
	u.t.Helper()
	m := u.next()
	if text, _ := json.Marshal(m); m.Type != typ || m.Peer != from {
		u.t.Fatalf("%s received %s, want %s from %s", u.name, text, typ, from)
	}
	return m
}

// call makes a call of two users, with messages both ways.
func call(from, to *user) {
	from.t.Helper()
	from.send(signal.Offer, to.name, "v=0 offer")
	to.wants(signal.Offer, from.name)
	to.send(signal.Answer, from.name, "v=0 answer")
	from.wants(signal.Answer, to.name)
	for _, text := range []string{"1", "2", "3"} {
		from.send(signal.ICECandidate, to.name, text)
		if m := to.wants(signal.ICECandidate, from.name); m.Candidate.Candidate != text {
			from.t.Fatalf("candidate: got %q, want %q", m.Candidate.Candidate, text)
		}
	}
}

// TestServers calls across two servers: the names are common to both, and all messages arrive.
func TestServers(t *testing.T) {
	t.Parallel()
	nats := natstest.Start(t, natsserver.Options{})
	a, b := startServer(t, time.Minute, nats.URL), startServer(t, time.Minute, nats.URL)
	alice, bob := signIn(t, a.web.URL, "alice"), signIn(t, b.web.URL, "bob")
	if node := alice.Connection().Node; node != a.node.Name() || !strings.HasPrefix(node, t.Name()+"/") {
		t.Errorf("node: got %q, want %q", node, a.node.Name())
	}
	call(alice, bob)
	call(bob, alice)
	alice.send(signal.Leave, "bob", "")
	bob.wants(signal.Leave, "alice")

	c, err := client.Dial(t.Context(), b.web.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login(t.Context(), "alice"); err == nil || !strings.Contains(err.Error(), "taken") {
		t.Errorf("login with a name of the other server: got %v, want that it is taken", err)
	}
	alice.send(signal.Offer, "nobody", "v=0")
	if m := alice.wants(signal.Error, "nobody"); m.Code != signal.CodeAbsent {
		t.Errorf("offer to nobody: got %q, want %q", m.Code, signal.CodeAbsent)
	}
}

// TestServersWithoutNATS ends NATS: users of one server reach each other, the others are
// unavailable, and so are logins, until NATS is back.
func TestServersWithoutNATS(t *testing.T) {
	t.Parallel()
	nats := natstest.Start(t, natsserver.Options{})
	a, b := startServer(t, 30*time.Second, nats.URL), startServer(t, 30*time.Second, nats.URL)
	alice, carol, bob := signIn(t, a.web.URL, "alice"), signIn(t, a.web.URL, "carol"), signIn(t, b.web.URL, "bob")
	call(alice, carol)
	nats.Kill()
	for deadline := time.Now().Add(patience); a.node.Ready() == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the node is ready without NATS")
		}
	}
	call(carol, alice)
	alice.send(signal.Offer, "bob", "v=0")
	if m := alice.wants(signal.Error, "bob"); m.Code != signal.CodeUnavailable {
		t.Errorf("offer to a user of the other server: got %q, want %q", m.Code, signal.CodeUnavailable)
	}
	c, err := client.Dial(t.Context(), a.web.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login(t.Context(), "dave"); err == nil || !strings.Contains(err.Error(), "try again later") {
		t.Errorf("login without NATS: got %v, want that it is to be tried again", err)
	}
	nats.Restart()
	for _, s := range []*signalingServer{a, b} {
		for deadline := time.Now().Add(patience); s.node.Ready() != nil; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the node is not ready with NATS")
			}
		}
	}
	call(alice, bob)
}

// TestCallWhileAway calls a user whose server has failed, before and after the user is back at
// another server: the second offer reaches the new session at once, though the first one is still
// being sent to the old one.
func TestCallWhileAway(t *testing.T) {
	t.Parallel()
	nats := natstest.Start(t, natsserver.Options{})
	proxy := natstest.StartProxy(t, nats)
	a, b := startServer(t, time.Minute, proxy.URL), startServer(t, time.Minute, nats.URL)
	l := startBalancer(t, a.address())
	alice, bob := signIn(t, l.url(), "alice"), signIn(t, b.web.URL, "bob")
	proxy.Cut()
	bob.send(signal.Offer, "alice", "v=0 first")
	bob.send(signal.Offer, "nobody", "v=0") // answered after the first was sent
	if m := bob.wants(signal.Error, "nobody"); m.Code != signal.CodeAbsent {
		t.Fatalf("offer to nobody: got %q, want %q", m.Code, signal.CodeAbsent)
	}
	l.choose(b.address())
	l.cut()
	if !alice.back() {
		t.Error("alice has a new session, want the one that was resumed")
	}
	bob.send(signal.Offer, "alice", "v=0 second")
	if m := alice.wants(signal.Offer, "bob"); m.SDP != "v=0 second" {
		t.Errorf("offer: got %q, want the second one", m.SDP)
	}
	alice.send(signal.Answer, "bob", "v=0 answer")
	bob.wants(signal.Answer, "alice")
}

// TestWatchAtAnotherNode watches a name from one server until it signs in at the other one.
func TestWatchAtAnotherNode(t *testing.T) {
	t.Parallel()
	nats := natstest.Start(t, natsserver.Options{})
	a, b := startServer(t, time.Minute, nats.URL), startServer(t, time.Minute, nats.URL)
	alice := signIn(t, a.web.URL, "alice")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	watched := make(chan error, 1)
	go func() { watched <- alice.Watch(ctx, "bob") }()
	alice.send(signal.Offer, "nobody", "v=0")
	alice.wants(signal.Error, "nobody")
	signIn(t, b.web.URL, "bob")
	if err := <-watched; err != nil {
		t.Errorf("watch until bob signs in at the other server: %v", err)
	}
	if err := alice.Watch(ctx, "bob"); err != nil {
		t.Errorf("watch of bob, who is signed in at the other server: %v", err)
	}
}
