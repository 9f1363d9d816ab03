//go:build !quick

package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"parley/signal/cluster"
	"parley/signal/server"

	"github.com/gorilla/websocket"

	"parley/signal"
	"parley/signal/client"
	"parley/signal/signaltest"
)

// TestClientCall is a call from login to hang-up through every server.
func TestClientCall(t *testing.T) {
	const sdp = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=\"quo\\te\" </script> Ünï\u2028 \U0001F44B\r\n"
	host := &signal.Candidate{Candidate: "candidate:1 1 udp 1 192.0.2.1 9 typ host", SDPMid: ptr("0"), SDPMLineIndex: ptr(uint16(0))}
	full := &signal.Candidate{Candidate: "candidate:2 1 udp 1 192.0.2.1 9 typ host", SDPMid: ptr(""), SDPMLineIndex: ptr(uint16(65535)),
		UsernameFragment: ptr("ufrag")}
	bare := &signal.Candidate{Candidate: "candidate:3 1 udp 1 192.0.2.1 9 typ host"}
	for name, s := range systems() {
		t.Run(name, func(t *testing.T) {
			url := s.start(t)
			alice, bob := s.join(t, url, "Gandalf <b> 李"), s.join(t, url, "Saruman")
			for _, m := range []signal.Message{
				{Type: signal.Offer, SDP: sdp}, {Type: signal.ICECandidate, Candidate: host},
				{Type: signal.ICECandidate, Candidate: full}, {Type: signal.ICECandidate, Candidate: bare}, {Type: signal.ICECandidate},
			} {
				m.Peer = "Saruman"
				send(t, alice, m)
				m.Peer = s.from("Gandalf <b> 李", m.Type)
				receive(t, bob, m)
			}
			send(t, bob, signal.Message{Type: signal.Answer, Peer: "Gandalf <b> 李", SDP: sdp})
			receive(t, alice, signal.Message{Type: signal.Answer, Peer: s.from("Saruman", signal.Answer), SDP: sdp})
			second := signal.Message{Type: signal.Offer, SDP: sdp, Extension: &signal.Extension{Version: 1, Number: 7, AnswerRejected: "no <b> & \" '"}}
			rejection := signal.Message{Type: signal.Answer, Extension: &signal.Extension{Version: 1, Number: 7, Browser: true, Rejected: "no"}}
			second.Peer = "Saruman"
			send(t, alice, second)
			second.Peer = s.from("Gandalf <b> 李", signal.Offer)
			receive(t, bob, second)
			rejection.Peer = "Gandalf <b> 李"
			send(t, bob, rejection)
			rejection.Peer = s.from("Saruman", signal.Answer)
			receive(t, alice, rejection)
			send(t, bob, signal.Message{Type: signal.Leave, Peer: "Gandalf <b> 李"})
			if s.dialect == signal.DialectCall {
				receive(t, alice, signal.Message{Type: signal.Leave, Peer: s.from("Saruman", signal.Leave)})
			}
		})
	}
}

// TestClientOrder sends a thousand candidates; all arrive, in order.
func TestClientOrder(t *testing.T) {
	for name, s := range systems() {
		t.Run(name, func(t *testing.T) {
			url := s.start(t)
			alice, bob := s.join(t, url, "alice"), s.join(t, url, "bob")
			send(t, alice, signal.Message{Type: signal.Offer, Peer: "bob", SDP: "v=0"})
			receive(t, bob, signal.Message{Type: signal.Offer, Peer: s.from("alice", signal.Offer), SDP: "v=0"})
			const n = 1000
			sent := make(chan error, 1)
			go func() {
				for i := range n {
					c := &signal.Candidate{Candidate: fmt.Sprintf("candidate:%d", i)}
					if err := alice.Send(t.Context(), signal.Message{Type: signal.ICECandidate, Peer: "bob", Candidate: c}); err != nil {
						sent <- err
						return
					}
				}
				sent <- nil
			}()
			ctx := wait(t)
			for i := range n {
				m, err := bob.Receive(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if want := fmt.Sprintf("candidate:%d", i); m.Candidate == nil || m.Candidate.Candidate != want {
					t.Fatalf("want %s, got %+v", want, m)
				}
			}
			if err := <-sent; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLoginTaken(t *testing.T) {
	for name, s := range systems() {
		if s.dialect == signal.DialectRelay {
			continue
		}
		t.Run(name, func(t *testing.T) {
			url := s.start(t)
			s.join(t, url, "alice")
			other := s.dial(t, url)
			var refused *client.LoginError
			if err := other.Login(wait(t), "alice"); !errors.As(err, &refused) || refused.Code != signal.CodeTaken || refused.Name != "alice" {
				t.Fatalf("got %v", err)
			}
			if refused.Connected == s.original {
				t.Errorf("Connected: got %t, want %t", refused.Connected, !s.original)
			}
			if err := other.Login(wait(t), "anna"); err != nil { // the connection lives on
				t.Error(err)
			}
		})
	}
}

// TestAbsent calls somebody who is not there: our server says so once, the original call server
// never says a word.
func TestAbsent(t *testing.T) {
	for name, s := range systems() {
		if s.original && s.dialect == signal.DialectRelay {
			continue // dies: TestOriginalDies
		}
		t.Run(name, func(t *testing.T) {
			alice := s.join(t, s.start(t), "alice")
			send(t, alice, signal.Message{Type: signal.Offer, Peer: "bob", SDP: "v=0"})
			if s.original {
				send(t, alice, signal.Message{Type: signal.Offer, Peer: "alice", SDP: "next"}) // the next that comes is this
				receive(t, alice, signal.Message{Type: signal.Offer, Peer: "alice", SDP: "next"})
				return
			}
			receive(t, alice, signal.Message{Type: signal.Error, Peer: "bob", Code: signal.CodeAbsent, Text: "bob is not signed in"})
		})
	}
}

// TestOriginalDies does what kills the originals: the client reports a lost connection, and our
// server lives on.
func TestOriginalDies(t *testing.T) {
	for dialect, deadly := range map[signal.Dialect]signal.Message{
		signal.DialectCall:  {Type: signal.Leave, Peer: "nobody"},
		signal.DialectRelay: {Type: signal.Offer, Peer: "nobody", SDP: "v=0"},
	} {
		t.Run(string(dialect), func(t *testing.T) {
			s := system{dialect: dialect, original: true}
			node := signaltest.OriginalServer(t, string(dialect))
			alice := s.join(t, node.URL, "alice")
			send(t, alice, deadly)
			_, err := alice.Receive(wait(t))
			var lost *client.LostError
			if !errors.As(err, &lost) || lost.Code != 1006 {
				t.Errorf("got %v", err)
			}
			<-node.Died
			if err := alice.Send(wait(t), deadly); !errors.As(err, &lost) {
				t.Errorf("sending afterwards: %v", err)
			}
			if err := alice.Login(wait(t), "alice"); !errors.As(err, &lost) {
				t.Errorf("signing in afterwards: %v", err)
			}
		})
	}
}

// TestCloseFlushes closes right after the last message, which still arrives.
func TestCloseFlushes(t *testing.T) {
	for name, s := range systems() {
		t.Run(name, func(t *testing.T) {
			url := s.start(t)
			alice, bob := s.join(t, url, "alice"), s.join(t, url, "bob")
			for i := range 50 {
				send(t, alice, signal.Message{Type: signal.Offer, Peer: "bob", SDP: fmt.Sprint(i)})
			}
			start := time.Now()
			for range 2 {
				if err := alice.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if took := time.Since(start); took > patience/2 {
				t.Errorf("Close took %v", took)
			}
			for i := range 50 {
				receive(t, bob, signal.Message{Type: signal.Offer, Peer: s.from("alice", signal.Offer), SDP: fmt.Sprint(i)})
			}
			if _, err := alice.Receive(wait(t)); !errors.Is(err, client.ErrClosed) {
				t.Errorf("Receive after Close: %v", err)
			}
			if err := alice.Send(wait(t), signal.Message{Type: signal.Leave, Peer: "bob"}); s.dialect == signal.DialectCall && !errors.Is(err, client.ErrClosed) {
				t.Errorf("Send after Close: %v", err)
			}
		})
	}
}

// TestHangUpOverTheOriginal ends a call in each order in which two clients may close their sockets:
// the original server must outlive it. It dies of a socket that closes after its partner has gone,
// and of a leave to a user who has gone.
func TestHangUpOverTheOriginal(t *testing.T) {
	const patience = 200 * time.Millisecond
	leave := func(peer string) signal.Message { return signal.Message{Type: signal.Leave, Peer: peer} }
	for name, hangUp := range map[string]func(t *testing.T, alice, bob *client.Client){
		"the receiver of the leave closes first": func(t *testing.T, alice, bob *client.Client) {
			send(t, alice, leave("bob"))
			receive(t, bob, leave(""))
			waitAtMost(patience, closing(bob))
			_ = alice.Close()
			_ = bob.Close()
		},
		"the receiver closes before the leave": func(t *testing.T, alice, bob *client.Client) {
			closed := closing(bob) // as its media path is gone
			waitAtMost(patience, closed)
			send(t, alice, leave("bob"))
			_ = alice.Close()
			<-closed
		},
		"the sender of the leave stays connected": func(t *testing.T, alice, bob *client.Client) {
			send(t, alice, leave("bob"))
			receive(t, bob, leave(""))
			start := time.Now()
			_ = bob.Close()
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("Close took %s", took)
			}
		},
		"both hang up": func(t *testing.T, alice, bob *client.Client) {
			send(t, alice, leave("bob"))
			receive(t, bob, leave(""))
			closed := closing(alice)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, _ = bob.Receive(ctx) // the leave that reports that alice has gone, if she has
			send(t, bob, leave("alice"))
			_ = bob.Close()
			<-closed
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := system{dialect: signal.DialectCall, original: true}
			node := signaltest.OriginalServer(t, "call")
			alice, bob := s.join(t, node.URL, "alice"), s.join(t, node.URL, "bob")
			send(t, alice, signal.Message{Type: signal.Offer, Peer: "bob", SDP: "v=0"})
			receive(t, bob, signal.Message{Type: signal.Offer, Peer: "alice", SDP: "v=0"})
			send(t, bob, signal.Message{Type: signal.Answer, Peer: "alice", SDP: "v=0"})
			receive(t, alice, signal.Message{Type: signal.Answer, SDP: "v=0"})
			hangUp(t, alice, bob)
			carol, err := client.Dial(wait(t), node.URL, nil)
			if err == nil {
				err = carol.Login(wait(t), "carol")
				_ = carol.Close()
			}
			if err != nil {
				t.Errorf("the server has ended: %v\n%s", err, node.Stderr())
			}
		})
	}
}

// TestNamesAtTheOriginalServer talks to a peer whose name Parley's server would refuse.
func TestNamesAtTheOriginalServer(t *testing.T) {
	url := signaltest.Original(t, "call")
	const name = "alice "
	alice, _, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer alice.Close()
	_ = alice.SetReadDeadline(time.Now().Add(patience))
	next := func(typ string) {
		t.Helper()
		for {
			_, frame, err := alice.ReadMessage()
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(frame), `"type":"`+typ+`"`) {
				return
			}
		}
	}
	if err := alice.WriteJSON(map[string]any{"type": "login", "name": name}); err != nil {
		t.Fatal(err)
	}
	next("login")
	bob, err := client.Dial(wait(t), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer bob.Close()
	if err := bob.Login(wait(t), "bob"); err != nil {
		t.Fatal(err)
	}
	if err := alice.WriteJSON(map[string]any{"type": "offer", "name": "bob", "offer": map[string]any{"type": "offer", "sdp": "v=0"}}); err != nil {
		t.Fatal(err)
	}
	m, err := bob.Receive(wait(t))
	if err != nil || m.Type != signal.Offer || m.Peer != name {
		t.Fatalf("got %+v, %v", m, err)
	}
	if err := bob.Send(wait(t), signal.Message{Type: signal.Answer, Peer: m.Peer, SDP: "v=0"}); err != nil {
		t.Fatal(err)
	}
	next("answer")
}

// TestOriginalsDoNotResume ends as it did before when the server gives no ticket.
func TestOriginalsDoNotResume(t *testing.T) {
	for _, dialect := range []signal.Dialect{signal.DialectCall, signal.DialectRelay} {
		net, url := newCutter(t, signaltest.Original(t, string(dialect)), 1)
		alice, reports := returner(t, url, "alice", client.Options{Dialect: dialect})
		if servers := alice.ICEServers(); servers != nil {
			t.Errorf("an original handed out %v", servers)
		}
		net.cutAll()
		var lost *client.LostError
		if _, err := alice.Receive(wait(t)); !errors.As(err, &lost) || lost.Retry != nil || len(reports) != 0 {
			t.Errorf("got %v", err)
		}
	}
}

// TestClientIsNotNotified watches at servers that do not notify: originals, a node that cannot, and
// one whose limit is reached.
func TestClientIsNotNotified(t *testing.T) {
	few := server.NoLimits()
	few.Watches = 1
	unable := &server.Options{Cluster: struct{ cluster.Node }{cluster.NewMemory()}}
	for name, test := range map[string]struct {
		url     string
		dialect signal.Dialect
		reports bool
	}{
		"original call server":  {signaltest.Original(t, "call"), signal.DialectCall, false},
		"original relay server": {signaltest.Original(t, "relay"), signal.DialectRelay, false},
		"node without watches":  {signaltest.Start(t, unable), signal.DialectCall, true},
		"limit":                 {signaltest.Start(t, &server.Options{Limits: few}), signal.DialectCall, true},
	} {
		t.Run(name, func(t *testing.T) {
			alice := logIn(t, test.url, "alice", test.dialect)
			if alice.ReportsAbsence() != test.reports {
				t.Errorf("ReportsAbsence: got %t, want %t", alice.ReportsAbsence(), test.reports)
			}
			if name == "limit" {
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
				if err := alice.Watch(ctx, "carol"); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("watching carol: got %v, want the end of the context", err)
				}
			}
			if err := alice.Watch(wait(t), "bob"); !errors.Is(err, client.ErrNotWatched) {
				t.Errorf("got %v, want %v", err, client.ErrNotWatched)
			}
		})
	}
}
