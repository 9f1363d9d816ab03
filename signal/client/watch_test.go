package client_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"parley/signal"
	"parley/signal/client"
	"parley/signal/server"
	"parley/signal/signaltest"
)

// watched starts Watch and returns the channel of its result.
func watched(t *testing.T, c *client.Client, name string) <-chan error {
	t.Helper()
	result := make(chan error, 1)
	ctx := wait(t)
	go func() { result <- c.Watch(ctx, name) }()
	return result
}

// logIn signs a client in.
func logIn(t *testing.T, url, name string, dialect signal.Dialect) *client.Client {
	t.Helper()
	c, err := client.Dial(wait(t), url, &client.Options{Dialect: dialect, NoPacing: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Login(wait(t), name); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestClientWatches waits for a name that signs in later, for one that is there, and for one that
// does not come, over a watch that has to be renewed.
func TestClientWatches(t *testing.T) {
	for _, dialect := range []signal.Dialect{signal.DialectCall, signal.DialectRelay} {
		t.Run(string(dialect), func(t *testing.T) {
			t.Parallel()
			limits := server.NoLimits()
			limits.WatchFor = 2 * time.Second // renewed after one
			url := signaltest.Start(t, &server.Options{Limits: limits})
			alice := logIn(t, url, "alice", dialect)
			ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
			defer cancel()
			result := watched(t, alice, "bob")
			if err := alice.Watch(ctx, "carol"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("watching carol: got %v, want the end of the context", err)
			}
			select {
			case err := <-result:
				t.Fatalf("watching bob, who is not there: got %v", err)
			default:
			}
			logIn(t, url, "bob", dialect)
			if err := <-result; err != nil {
				t.Errorf("watching bob, who signs in: %v", err)
			}
			if err := alice.Watch(wait(t), "bob"); err != nil {
				t.Errorf("watching bob, who is there: %v", err)
			}
		})
	}
}

// TestClientWatchesAfterRestart watches a name at a server that is replaced by another one.
func TestClientWatchesAfterRestart(t *testing.T) {
	first, url := signaltest.StartServer(t, nil)
	net, url := newCutter(t, url, 1)
	alice, reports := returner(t, url, "alice", client.Options{MaxElapsedTime: patience})
	result := watched(t, alice, "bob")
	_, second := signaltest.StartServer(t, nil)
	net.mu.Lock()
	net.server = second[len("ws://"):]
	net.mu.Unlock()
	_ = first.Close()
	if s := reports.next(t); !s.Lost {
		t.Fatalf("got %+v, want the loss of the server", s)
	}
	if s := reports.next(t); s.Lost || s.Resumed {
		t.Fatalf("got %+v, want a new session", s)
	}
	logIn(t, second, "bob", signal.DialectCall)
	if err := <-result; err != nil {
		t.Error(err)
	}
}
