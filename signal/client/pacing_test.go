package client_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/time/rate"

	"parley/signal"
	"parley/signal/client"
	"parley/signal/signaltest"
)

// TestPacing sends more at once than a server with the default limits takes. All of it arrives.
func TestPacing(t *testing.T) {
	for name, repeated := range map[string]struct {
		message signal.Message
		times   int
	}{
		"offers":     {signal.Message{Type: signal.Offer, SDP: "v=0"}, 20},
		"candidates": {signal.Message{Type: signal.ICECandidate, Candidate: &signal.Candidate{Candidate: "candidate:1"}}, 250},
	} {
		for _, resume := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", resume ", resume), func(t *testing.T) {
				t.Parallel()
				url := signaltest.Start(t, nil)
				bob := loggedIn(t, url, "bob", client.Options{Resume: resume})
				alice := loggedIn(t, url, "alice", client.Options{Resume: resume})
				send(t, alice, signal.Message{Type: signal.Offer, Peer: "bob", SDP: "first"})
				receive(t, bob, signal.Message{Type: signal.Offer, Peer: "alice", SDP: "first"})
				m := repeated.message
				m.Peer = "bob"
				for range repeated.times {
					send(t, alice, m)
				}
				m.Peer = "alice"
				for range repeated.times {
					receive(t, bob, m)
				}
				send(t, bob, signal.Message{Type: signal.Leave, Peer: "alice"})
				receive(t, alice, signal.Message{Type: signal.Leave, Peer: "bob"}) // and no error before
			})
		}
	}
}

// TestThirtyCallers calls a client thirty times at once. Each call gets its answer and the
// candidates.
func TestThirtyCallers(t *testing.T) {
	t.Parallel()
	const calls, candidates = 30, 4
	url := signaltest.Start(t, nil)
	answerer := loggedIn(t, url, "answerer", client.Options{Resume: true})
	callers := make([]*client.Client, calls)
	for i := range callers {
		callers[i] = loggedIn(t, url, fmt.Sprint("caller", i), client.Options{Resume: true})
	}
	for _, c := range callers {
		send(t, c, signal.Message{Type: signal.Offer, Peer: "answerer", SDP: "v=0"})
	}
	candidate := signal.Message{Type: signal.ICECandidate, Candidate: &signal.Candidate{Candidate: "candidate:1"}}
	for range callers {
		offer, err := answerer.Receive(wait(t))
		if err != nil || offer.Type != signal.Offer {
			t.Fatalf("got %+v, %v", offer, err)
		}
		send(t, answerer, signal.Message{Type: signal.Answer, Peer: offer.Peer, SDP: "v=0"})
		for range candidates {
			candidate.Peer = offer.Peer
			send(t, answerer, candidate)
		}
	}
	candidate.Peer = "answerer"
	for _, c := range callers {
		receive(t, c, signal.Message{Type: signal.Answer, Peer: "answerer", SDP: "v=0"})
		for range candidates {
			receive(t, c, candidate)
		}
	}
}

// TestPacingOfClose queues 30 leaves, of which a server takes 20 at once, and closes.
func TestPacingOfClose(t *testing.T) {
	t.Parallel()
	url := signaltest.Start(t, nil)
	alice := loggedIn(t, url, "alice", client.Options{})
	const calls = 22
	var peers []*client.Client
	for i := range calls {
		peer := loggedIn(t, url, fmt.Sprint("peer", i), client.Options{})
		send(t, peer, signal.Message{Type: signal.Offer, Peer: "alice", SDP: "v=0"})
		receive(t, alice, signal.Message{Type: signal.Offer, Peer: fmt.Sprint("peer", i), SDP: "v=0"})
		peers = append(peers, peer)
	}
	for i := range calls {
		send(t, alice, signal.Message{Type: signal.Leave, Peer: fmt.Sprint("peer", i)})
	}
	if err := alice.Close(); err != nil {
		t.Fatal(err)
	}
	for _, peer := range peers {
		receive(t, peer, signal.Message{Type: signal.Leave, Peer: "alice"})
	}
}

// TestPacingOfReplay resumes a session with twelve offers to be sent again, of which a server takes
// ten at once.
func TestPacingOfReplay(t *testing.T) {
	t.Parallel()
	const offers = 12
	limit := rate.NewLimiter(5, 10)
	var connections, exceeded atomic.Int32
	resumed := make(chan struct{})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := new(websocket.Upgrader).Upgrade(w, r, http.Header{signal.ServerHeader: {"1"}})
		if err != nil {
			t.Error(err)
			return
		}
		defer ws.Close()
		second := connections.Add(1) == 2
		reply := `{"type":"login","success":true,"resume":"token","resumeFor":20000}`
		if second {
			reply = `{"type":"login","success":true,"ack":0}`
		}
		_, _, _ = ws.ReadMessage()
		say(t, ws, reply)
		for range offers {
			if _, _, err := ws.ReadMessage(); err != nil {
				t.Error(err)
				return
			}
			if second && !limit.Allow() {
				exceeded.Add(1)
			}
		}
		if second {
			close(resumed)
			_, _, _ = ws.ReadMessage() // until the client closes
		}
	}))
	t.Cleanup(web.Close)
	alice := loggedIn(t, "ws"+strings.TrimPrefix(web.URL, "http"), "alice", client.Options{Resume: true})
	for range offers {
		send(t, alice, signal.Message{Type: signal.Offer, Peer: "bob", SDP: "v=0"})
	}
	select {
	case <-resumed:
	case <-time.After(patience):
		t.Fatal("the offers were not sent again")
	}
	_ = alice.Close()
	if n := exceeded.Load(); n > 0 {
		t.Errorf("%d of %d offers exceed the limit of a server", n, offers)
	}
}

// loggedIn returns a client that is logged in as name.
func loggedIn(t *testing.T, url, name string, o client.Options) *client.Client {
	t.Helper()
	c, err := client.Dial(wait(t), url, &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Login(wait(t), name); err != nil {
		t.Fatal(err)
	}
	return c
}
