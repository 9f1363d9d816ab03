//go:build !quick

package nats_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
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
	node, err := nats.Start(t.Context(), nats.Options{Servers: urls, Lease: lease, Host: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	s := &signalingServer{node: node, Server: server.New(&server.Options{Cluster: node, NodeName: node.Name(), Limits: server.NoLimits()})}
	s.web = httptest.NewServer(s.Server)
	t.Cleanup(s.end)
	return s
}

// end ends the server and its node.
func (s *signalingServer) end() {
	s.stop.Do(func() {
		_ = s.Server.Close()
		_ = s.node.Close()
		s.web.Close()
	})
}

// balancer passes each connection on to the server that is chosen at that moment.
type balancer struct {
	listener net.Listener
	wait     sync.WaitGroup

	mu     sync.Mutex // guards what follows
	target string
	conns  []net.Conn
}

func startBalancer(t *testing.T, s *signalingServer) *balancer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{listener: l, target: s.web.Listener.Addr().String()}
	b.wait.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b.mu.Lock()
			d, err := net.Dial("tcp", b.target)
			if err != nil {
				_ = c.Close()
				b.mu.Unlock()
				continue
			}
			b.conns = append(b.conns, c, d)
			b.mu.Unlock()
			for _, pair := range [][2]net.Conn{{c, d}, {d, c}} {
				b.wait.Go(func() {
					_, _ = io.Copy(pair[0], pair[1])
					_ = pair[0].Close()
					_ = pair[1].Close()
				})
			}
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		b.choose(s)
		b.wait.Wait()
	})
	return b
}

func (b *balancer) url() string { return "ws://" + b.listener.Addr().String() }

// choose sends new connections to a server, and cuts those that are there.
func (b *balancer) choose(s *signalingServer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.target = s.web.Listener.Addr().String()
	for _, c := range b.conns {
		_ = c.Close()
	}
	b.conns = nil
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
	u := &user{t: t, name: name, states: make(chan client.State, 100)}
	c, err := client.Dial(t.Context(), url, &client.Options{Resume: true, OnState: func(s client.State) { u.states <- s }})
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

// TestResumeElsewhere ends the server of a client in the middle of a call, so that the client comes
// back to the other server, in three ways: it is cut off from NATS with all its clients, as if killed;
// it is alive, and the balancer sends the client elsewhere; and it drains. The client has its name
// again within seconds, and the other user learns that the call has lost its signaling, except
// after a drain. Both can go on with an offer.
func TestResumeElsewhere(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		leave bool
		end   func(*signalingServer, *natstest.Proxy, *balancer, *signalingServer)
	}{
		{"killed", true, func(_ *signalingServer, p *natstest.Proxy, l *balancer, b *signalingServer) {
			p.Cut()
			l.choose(b)
		}},
		{"alive", true, func(_ *signalingServer, _ *natstest.Proxy, l *balancer, b *signalingServer) { l.choose(b) }},
		{"drained", false, func(a *signalingServer, _ *natstest.Proxy, l *balancer, b *signalingServer) {
			l.mu.Lock()
			l.target = b.web.Listener.Addr().String()
			l.mu.Unlock()
			a.node.Drain()
			_ = a.Drain(context.Background(), 0)
			a.end()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			nats := natstest.Start(t, natsserver.Options{})
			proxy := natstest.StartProxy(t, nats)
			a, b := startServer(t, 6*time.Second, proxy.URL), startServer(t, 6*time.Second, nats.URL)
			l := startBalancer(t, a)
			alice, bob := signIn(t, l.url(), "alice"), signIn(t, b.web.URL, "bob")
			call(alice, bob)
			began := time.Now()
			c.end(a, proxy, l, b)
			for s := (client.State{Lost: true}); s.Lost; {
				select {
				case s = <-alice.states:
				case <-time.After(patience):
					t.Fatal("alice has not come back")
				}
			}
			if took := time.Since(began); took > 5*time.Second && c.name != "drained" {
				t.Errorf("time until alice had her name again: %s, want less than that of the lease", took)
			}
			if c.leave {
				if m := bob.wants(signal.Leave, "alice"); !m.Lost {
					t.Error("leave: got one of a user who hung up, want one of a user who was lost")
				}
			}
			call(alice, bob)
			call(bob, alice)
		})
	}
}

// TestServersWithoutNATS ends NATS: users of one server reach each other, the others are unavailable,
// and so are logins, until NATS is back.
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

// TestCallWhileAway calls a user whose server has failed, before and after the user is back at another server:
// the second offer reaches the new session at once, though the first one is still being sent to the old one.
func TestCallWhileAway(t *testing.T) {
	t.Parallel()
	nats := natstest.Start(t, natsserver.Options{})
	proxy := natstest.StartProxy(t, nats)
	a, b := startServer(t, time.Minute, proxy.URL), startServer(t, time.Minute, nats.URL)
	l := startBalancer(t, a)
	alice, bob := signIn(t, l.url(), "alice"), signIn(t, b.web.URL, "bob")
	proxy.Cut()
	bob.send(signal.Offer, "alice", "v=0 first")
	bob.send(signal.Offer, "nobody", "v=0") // answered after the first was sent
	if m := bob.wants(signal.Error, "nobody"); m.Code != signal.CodeAbsent {
		t.Fatalf("offer to nobody: got %q, want %q", m.Code, signal.CodeAbsent)
	}
	l.choose(b)
	for s := (client.State{Lost: true}); s.Lost; {
		select {
		case s = <-alice.states:
		case <-time.After(patience):
			t.Fatal("alice has not come back")
		}
	}
	bob.send(signal.Offer, "alice", "v=0 second")
	if m := alice.wants(signal.Offer, "bob"); m.SDP != "v=0 second" {
		t.Errorf("offer: got %q, want the second one", m.SDP)
	}
	alice.send(signal.Answer, "bob", "v=0 answer")
	bob.wants(signal.Answer, "alice")
}
