//go:build !quick

package nats_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"parley/signal"
	"parley/signal/client"
	"parley/signal/cluster/natstest"
)

// leaderless kills the NATS server that leads the names and pauses another one, so that there is no
// leader until the returned function lets that one go on: then an election begins.
func leaderless(t *testing.T, servers []*natstest.Server) (elect func()) {
	t.Helper()
	conn, err := natsgo.Connect(strings.Join(natstest.URLs(servers), ","))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "KV_parley_names")
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range servers {
		if stream.CachedInfo().Cluster.Leader == fmt.Sprint("nats", i) {
			paused := servers[(i+1)%len(servers)]
			paused.Pause()
			s.Kill()
			return paused.Resume
		}
	}
	t.Fatalf("the names have the leader %q, want one of the servers", stream.CachedInfo().Cluster.Leader)
	return nil
}

// ready waits until the node is ready. The state of JetStream has no event to wait for.
func (s *signalingServer) ready(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patience); s.node.Ready() != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the node is not ready within %s: %v", patience, s.node.Ready())
		}
	}
}

// TestLoginDuringElection signs users in while the names have no leader: a new one, one whose name
// is taken, and one that has lost its server and is in a call. They wait for the election. Then the
// first is signed in, the second is refused, and the third has its session and its call at another
// node; its peer has noticed nothing.
func TestLoginDuringElection(t *testing.T) {
	t.Parallel()
	const lease = time.Minute // so that no lease ends during a slow election
	servers := natstest.StartCluster(t, 3)
	a, b := startServer(t, lease, natstest.URLs(servers)...), startServer(t, lease, natstest.URLs(servers)...)
	for _, s := range []*signalingServer{a, b} {
		s.ready(t)
	}
	l := startBalancer(t, a.address())
	alice, bob := signIn(t, l.url(), "alice"), signIn(t, b.web.URL, "bob")
	call(alice, bob)
	elect := leaderless(t, servers)

	l.choose(b.address())
	l.cut()
	logins := make(map[string]chan error)
	for name, url := range map[string]string{"carol": a.web.URL, "bob": a.web.URL} {
		result := make(chan error, 1)
		logins[name] = result
		go func() { result <- tryLogin(t, url, name) }()
	}
	// The user sends meanwhile, to find the way of the message after the election.
	alice.send(signal.ICECandidate, "bob", "4")
	bob.send(signal.ICECandidate, "alice", "4")
	for waiting := time.After(time.Second); waiting != nil; { // nothing happens meanwhile
		select {
		case err := <-logins["carol"]:
			t.Fatalf("login without a leader: got %v, want that it waits", err)
		case err := <-logins["bob"]:
			t.Fatalf("login with a name that is held, without a leader: got %v, want that it waits", err)
		case s := <-alice.states:
			if !s.Lost {
				t.Fatalf("the session was resumed without a leader: got %+v", s)
			}
		case <-waiting:
			waiting = nil
		}
	}
	elect()
	if !alice.back() {
		t.Error("alice has a new session, want the one that was resumed")
	}
	if err := <-logins["carol"]; err != nil {
		t.Errorf("login after the election: %v", err)
	}
	var refused *client.LoginError
	if err := <-logins["bob"]; !errors.As(err, &refused) || refused.Code != signal.CodeTaken {
		t.Errorf("login with a name that is held, after the election: got %v, want code %s", err, signal.CodeTaken)
	}
	for from, to := range map[*user]*user{alice: bob, bob: alice} {
		if m := from.wants(signal.ICECandidate, to.name); m.Candidate.Candidate != "4" {
			t.Errorf("%s received candidate %q, want the one that was sent during the election", from.name, m.Candidate.Candidate)
		}
	}
	bob.send(signal.Leave, "alice", "")
	if m := alice.wants(signal.Leave, "bob"); m.Lost {
		t.Error("leave of a user who hung up: got one of a user who was lost")
	}
}

// tryLogin signs in, again while the server says that it is unavailable: an election can take
// longer than a login waits.
func tryLogin(t *testing.T, url, name string) error {
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	for {
		c, err := client.Dial(ctx, url, nil)
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = c.Close() })
		err = c.Login(ctx, name)
		var refused *client.LoginError
		if !errors.As(err, &refused) || refused.Code != signal.CodeUnavailable {
			return err
		}
	}
}
