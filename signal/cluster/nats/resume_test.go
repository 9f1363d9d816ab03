//go:build !quick

package nats_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
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

// serverEnvironment carries the options of the node of a signaling server to its process.
const serverEnvironment = "PARLEY_TEST_SIGNALING"

func init() { nats.RunServer = runServer }

// runServer runs a signaling server, if this process was started for that. It drains when its input
// ends.
func runServer() {
	text := os.Getenv(serverEnvironment)
	if text == "" {
		return
	}
	var o nats.Options
	err := json.Unmarshal([]byte(text), &o)
	var node *nats.Node
	if err == nil {
		node, err = nats.Start(context.Background(), o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	s := server.New(&server.Options{Cluster: node, NodeName: node.Name(), Limits: server.NoLimits()})
	web := httptest.NewServer(s)
	fmt.Println(web.Listener.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = s.Drain(context.Background(), 500*time.Millisecond)
	_ = s.Close()
	_ = node.Close()
	os.Exit(0)
}

// serverProcess is a signaling server in another process.
type serverProcess struct {
	address string
	command *exec.Cmd
	stdin   io.Closer
	wait    func() error
}

func startServerProcess(t *testing.T, urls ...string) *serverProcess {
	t.Helper()
	options, err := json.Marshal(nats.Options{Servers: urls, Lease: testLease})
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &serverProcess{command: exec.Command(self, "-test.run=^$")}
	p.wait = sync.OnceValue(p.command.Wait)
	p.command.Env = append(os.Environ(), serverEnvironment+"="+string(options))
	p.command.Stderr = os.Stderr
	if p.stdin, err = p.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := p.command.StdoutPipe()
	if err == nil {
		err = p.command.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("signaling server in another process: no address: %v", err)
	}
	p.address = line[:len(line)-1]
	return p
}

// kill ends the process at once.
func (p *serverProcess) kill() {
	_ = p.command.Process.Kill()
	_ = p.wait()
	_ = p.stdin.Close()
}

// balancer passes each connection on to the server that is chosen at that moment.
type balancer struct {
	listener net.Listener
	wait     sync.WaitGroup

	mu     sync.Mutex // guards what follows
	target string
	conns  []net.Conn
}

func startBalancer(t *testing.T, target string) *balancer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{listener: l, target: target}
	b.wait.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b.mu.Lock()
			d, err := net.Dial("tcp", b.target) // fails at once where no server is
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
		b.choose(target)
		b.cut()
		b.wait.Wait()
	})
	return b
}

func (b *balancer) url() string { return "ws://" + b.listener.Addr().String() }

// choose sends new connections to a server.
func (b *balancer) choose(target string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.target = target
}

// cut cuts the connections that are there.
func (b *balancer) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.conns {
		_ = c.Close()
	}
	b.conns = nil
}

// testLease is longer than a client takes to come back.
const testLease = 10 * time.Second

// back waits until a user has come back, and reports whether the session was resumed.
func (u *user) back() (resumed bool) {
	u.t.Helper()
	for {
		select {
		case s := <-u.states:
			if !s.Lost {
				return s.Resumed
			}
		case <-time.After(patience):
			u.t.Fatalf("%s has not come back", u.name)
		}
	}
}

// TestResumeOnAnotherNode ends the server of two clients, in calls with each other and with a user
// of another server, in three ways: it is killed; it is alive, and the balancer sends the clients
// elsewhere; and it drains. Meanwhile all send. Both resume their sessions at different servers,
// and each message of each call arrives once and in order. Nobody gets a leave.
func TestResumeOnAnotherNode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		end  func(*serverProcess, *balancer, *balancer)
	}{
		{"killed", func(a *serverProcess, _, _ *balancer) { a.kill() }},
		{"alive", func(_ *serverProcess, l, m *balancer) { l.cut(); m.cut() }},
		{"drained", func(a *serverProcess, _, _ *balancer) { _ = a.stdin.Close() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			nats := natstest.Start(t, natsserver.Options{})
			a, b, d := startServerProcess(t, nats.URL), startServer(t, testLease, nats.URL), startServer(t, testLease, nats.URL)
			l, m := startBalancer(t, a.address), startBalancer(t, a.address)
			alice, carol, bob := signIn(t, l.url(), "alice"), signIn(t, m.url(), "carol"), signIn(t, b.web.URL, "bob")
			call(alice, bob)
			call(carol, alice)
			call(bob, carol)

			const messages = 50
			var all sync.WaitGroup
			users := []*user{alice, bob, carol}
			for _, from := range users {
				all.Go(func() {
					for i := range messages {
						for _, to := range users {
							if to == from {
								continue
							}
							message := signal.Message{Type: signal.ICECandidate, Peer: to.name, Candidate: &signal.Candidate{Candidate: strconv.Itoa(i)}}
							if err := from.Send(t.Context(), message); err != nil {
								t.Errorf("%s: %v", from.name, err)
								return
							}
						}
						time.Sleep(20 * time.Millisecond) // as a client that gathers candidates
					}
				})
				all.Go(func() { from.receiveAll(messages, 2) })
			}
			time.Sleep(200 * time.Millisecond) // so that the server ends between the messages
			l.choose(b.address())
			m.choose(d.address())
			c.end(a, l, m)
			for _, u := range []*user{alice, carol} {
				if !u.back() {
					t.Errorf("%s has a new session, want the one that was resumed", u.name)
				}
			}
			all.Wait()
			if t.Failed() {
				return
			}
			bob.send(signal.Leave, "alice", "")
			if m := alice.wants(signal.Leave, "bob"); m.Lost {
				t.Error("leave of a user who hung up: got one of a user who was lost")
			}
			alice.send(signal.Leave, "carol", "")
			carol.wants(signal.Leave, "alice")
			call(alice, carol)
		})
	}
}

// TestLeaveWithoutReturn ends the server of a client that does not come back, in the three ways of
// TestResumeOnAnotherNode: the other user gets a leave of a user who was lost, and not before the
// client had the time to come back. So does one who has sent more meanwhile than is kept, and then
// the client, which comes back too late for that.
func TestLeaveWithoutReturn(t *testing.T) {
	t.Parallel()
	const resume = 3 * time.Second
	start := func(t *testing.T) (a *serverProcess, b *signalingServer, l *balancer, alice, bob *user) {
		nats := natstest.Start(t, natsserver.Options{})
		a, b = startServerProcess(t, nats.URL), startServerWith(t, server.Options{Resume: resume}, testLease, nats.URL)
		l = startBalancer(t, a.address)
		alice, bob = signIn(t, l.url(), "alice"), signIn(t, b.web.URL, "bob")
		call(alice, bob)
		return a, b, l, alice, bob
	}
	for name, end := range map[string]func(*serverProcess){
		"killed":  func(a *serverProcess) { a.kill() },
		"drained": func(a *serverProcess) { _ = a.stdin.Close(); _ = a.wait() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, _, _, _, bob := start(t)
			began := time.Now()
			end(a)
			bob.send(signal.ICECandidate, "alice", "lost")
			if m := bob.wants(signal.Leave, "alice"); !m.Lost {
				t.Error("leave: got one of a user who hung up, want one of a user who was lost")
			}
			if took := time.Since(began); took < resume {
				t.Errorf("the leave came after %s, want %s at least", took, resume)
			}
			bob.send(signal.ICECandidate, "alice", "late") // crosses the leave, which is no error
			bob.send(signal.Leave, "alice", "")
			bob.send(signal.Offer, "nobody", "v=0")
			bob.wants(signal.Error, "nobody")
		})
	}
	t.Run("too much", func(t *testing.T) {
		t.Parallel()
		a, b, l, alice, bob := start(t)
		a.kill()
		for i := range 65 {
			bob.send(signal.ICECandidate, "alice", strconv.Itoa(i))
		}
		bob.send(signal.Offer, "nobody", "v=0")
		bob.wants(signal.Error, "nobody") // the server has got the candidates
		l.choose(b.address())
		if !alice.back() {
			t.Error("alice has a new session, want the one that was resumed")
		}
		for from, to := range map[*user]*user{alice: bob, bob: alice} {
			if m := from.wants(signal.Leave, to.name); !m.Lost {
				t.Errorf("leave to %s: got one of a user who hung up, want one of a user who was lost", from.name)
			}
		}
		call(bob, alice)
	})
	t.Run("hung up meanwhile", func(t *testing.T) {
		t.Parallel()
		a, b, l, alice, bob := start(t)
		a.kill()
		bob.send(signal.Leave, "alice", "")
		bob.send(signal.Offer, "nobody", "v=0")
		bob.wants(signal.Error, "nobody") // the server has got the leave
		l.choose(b.address())
		alice.back()
		if m := alice.wants(signal.Leave, "bob"); m.Lost {
			t.Error("leave: got one of a user who was lost, want one of a user who hung up")
		}
		call(bob, alice)
	})
	t.Run("hung up while away", func(t *testing.T) {
		t.Parallel()
		a, b, l, alice, bob := start(t)
		a.kill()
		alice.send(signal.Leave, "bob", "")
		l.choose(b.address())
		alice.back()
		if m := bob.wants(signal.Leave, "alice"); m.Lost {
			t.Error("leave: got one of a user who was lost, want one of a user who hung up")
		}
		call(alice, bob)
	})
}

// TestResumeBesideSimpleClient moves a client to another server, away from a peer of its own server
// that cannot resume: nothing has to be kept for that one, and all is kept for the client.
func TestResumeBesideSimpleClient(t *testing.T) {
	t.Parallel()
	const messages = 40
	nats := natstest.Start(t, natsserver.Options{})
	a, b := startServer(t, testLease, nats.URL), startServer(t, testLease, nats.URL)
	l := startBalancer(t, a.address())
	alice, bob := signIn(t, l.url(), "alice"), signInWith(t, a.web.URL, "bob", client.Options{})
	call(alice, bob)
	for i := range messages / 2 {
		bob.send(signal.ICECandidate, "alice", strconv.Itoa(i))
		alice.send(signal.ICECandidate, "bob", strconv.Itoa(i))
	}
	l.choose(b.address())
	l.cut()
	for i := messages / 2; i < messages; i++ {
		bob.send(signal.ICECandidate, "alice", strconv.Itoa(i))
		alice.send(signal.ICECandidate, "bob", strconv.Itoa(i))
	}
	if !alice.back() {
		t.Error("alice has a new session, want the one that was resumed")
	}
	alice.receiveAll(messages, 1)
	bob.receiveAll(messages, 1)
	bob.send(signal.Leave, "alice", "")
	if m := alice.wants(signal.Leave, "bob"); m.Lost {
		t.Error("leave of a user who hung up: got one of a user who was lost")
	}
}

// receiveAll receives numbered messages of several users, each in order.
func (u *user) receiveAll(each, users int) {
	ctx, cancel := context.WithTimeout(u.t.Context(), patience)
	defer cancel()
	next := make(map[string]int)
	for range each * users {
		m, err := u.Receive(ctx)
		if err != nil {
			u.t.Errorf("%s: %v; received %v", u.name, err, next)
			return
		}
		if text, _ := json.Marshal(m); m.Type != signal.ICECandidate || m.Candidate.Candidate != strconv.Itoa(next[m.Peer]) {
			u.t.Errorf("%s received %s, want candidate %d of %s", u.name, text, next[m.Peer], m.Peer)
			return
		}
		next[m.Peer]++
	}
}
