package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"parley/signal"
	"parley/signal/client"
	"parley/signal/server"
	"parley/signal/signaltest"
)

// system is a server that the client must work with.
type system struct {
	dialect  signal.Dialect
	original bool
	start    func(t testing.TB) (url string)
}

func systems() map[string]system {
	ours := signalURL
	greeting := func(t testing.TB) string {
		return signaltest.Start(t, &server.Options{Greeting: true, Limits: server.NoLimits()})
	}
	original := func(dialect string) func(testing.TB) string {
		return func(t testing.TB) string { return signaltest.Original(t, dialect) }
	}
	return map[string]system{
		"our server, call":            {signal.DialectCall, false, ours},
		"our server, relay":           {signal.DialectRelay, false, ours},
		"our server, greeting, call":  {signal.DialectCall, false, greeting},
		"our server, greeting, relay": {signal.DialectRelay, false, greeting},
		"the original call server":    {signal.DialectCall, true, original("call")},
		"the original relay server":   {signal.DialectRelay, true, original("relay")},
	}
}

// join dials and signs in, and waits until the server knows the name.
func (s system) join(t *testing.T, url, name string) *client.Client {
	t.Helper()
	c := s.dial(t, url)
	if err := c.Login(wait(t), name); err != nil {
		t.Fatal(err)
	}
	if s.dialect == signal.DialectRelay { // whose login has no reply: a message to oneself shows it
		send(t, c, signal.Message{Type: signal.Offer, Peer: name, SDP: "self"})
		receive(t, c, signal.Message{Type: signal.Offer, SDP: "self"})
	}
	return c
}

func (s system) dial(t *testing.T, url string) *client.Client {
	t.Helper()
	c, err := client.Dial(wait(t), url, &client.Options{Dialect: s.dialect, NoPacing: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// from is the sender that a receiver learns of.
func (s system) from(name string, typ signal.Type) string {
	if s.dialect == signal.DialectRelay || s.original && typ != signal.Offer {
		return ""
	}
	return name
}

func wait(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func send(t *testing.T, c *client.Client, m signal.Message) {
	t.Helper()
	if err := c.Send(wait(t), m); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, c *client.Client, want signal.Message) {
	t.Helper()
	got, err := c.Receive(wait(t))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func ptr[T any](v T) *T { return &v }

func TestLoginBadName(t *testing.T) {
	c := systems()["our server, call"].dial(t, signalURL(t))
	var refused *client.LoginError
	if err := c.Login(wait(t), "new\nline"); !errors.As(err, &refused) || refused.Code != signal.CodeBadName {
		t.Errorf("got %v", err)
	}
}

// TestCancelledContexts cancels each method; the client stays usable.
func TestCancelledContexts(t *testing.T) {
	s := systems()["our server, call"]
	alice := s.join(t, s.start(t), "alice")
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	got := make(chan error, 1)
	go func() {
		_, err := alice.Receive(ctx)
		got <- err
	}()
	cancel(why)
	if err := <-got; !errors.Is(err, why) {
		t.Errorf("Receive: %v", err)
	}
	if err := alice.Send(ctx, signal.Message{Type: signal.Leave, Peer: "alice"}); !errors.Is(err, why) {
		t.Errorf("Send: %v", err)
	}
	if err := alice.Login(ctx, "anna"); !errors.Is(err, why) {
		t.Errorf("Login: %v", err)
	}
	send(t, alice, signal.Message{Type: signal.Offer, Peer: "alice", SDP: "self"})
	receive(t, alice, signal.Message{Type: signal.Offer, Peer: "alice", SDP: "self"})
}

// TestSendChecks refuses to send what no server would take.
func TestSendChecks(t *testing.T) {
	c := systems()["our server, call"].join(t, signalURL(t), "alice")
	big := make([]byte, 64<<10)
	for _, m := range []signal.Message{
		{Type: signal.Offer, Peer: "bob"},
		{Type: signal.Answer, Peer: "bob"},
		{Type: signal.Offer, SDP: "v=0"},
		{Type: signal.Leave, Peer: "new\nline"},
		{Type: signal.Error, Peer: "bob"},
		{Type: "login", Peer: "bob"},
		{Type: signal.Offer, Peer: "bob", SDP: string(big)},
		{Type: signal.Offer, Peer: "bob", SDP: strings.Repeat("\"", 40<<10)}, // doubled by its escapes
		{Type: signal.ICECandidate, Peer: "bob", Candidate: &signal.Candidate{Candidate: string(big)}},
	} {
		if err := c.Send(wait(t), m); err == nil {
			t.Errorf("sent a %s for %q with %d bytes", m.Type, m.Peer, len(m.SDP))
		}
	}
}

// TestFullQueues neither receives nor lets the queue drain; Send blocks until its context ends, and
// nothing is lost.
func TestFullQueues(t *testing.T) {
	url := signalURL(t)
	bob, err := client.Dial(wait(t), url, &client.Options{ReceiveQueue: 1, NoPacing: true})
	if err != nil {
		t.Fatal(err)
	}
	defer bob.Close()
	if err := bob.Login(wait(t), "bob"); err != nil {
		t.Fatal(err)
	}
	alice := systems()["our server, call"].join(t, url, "alice")
	for i := range 100 {
		send(t, alice, signal.Message{Type: signal.Offer, Peer: "bob", SDP: fmt.Sprint(i)})
	}
	send(t, alice, signal.Message{Type: signal.Offer, Peer: "alice", SDP: "self"}) // the server has relayed all when this comes back
	receive(t, alice, signal.Message{Type: signal.Offer, Peer: "alice", SDP: "self"})
	for i := range 100 {
		receive(t, bob, signal.Message{Type: signal.Offer, Peer: "alice", SDP: fmt.Sprint(i)})
	}
}

// closing closes a client and returns a channel that is closed when that is done.
func closing(c *client.Client) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.Close()
	}()
	return done
}

// waitAtMost waits for done, no longer than d.
func waitAtMost(d time.Duration, done <-chan struct{}) {
	select {
	case <-done:
	case <-time.After(d):
	}
}
