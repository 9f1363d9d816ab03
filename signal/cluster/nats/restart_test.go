//go:build !quick

package nats_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"parley/signal"
	"parley/signal/client"
	"parley/signal/cluster/natsserver"
	"parley/signal/cluster/natstest"
)

// original is a client as the original programs are: it knows nothing of numbers, tokens and
// errors, and does not come back by itself.
type original struct {
	*websocket.Conn
	t       *testing.T
	dialect signal.Dialect
	name    string
}

// signIn connects and signs in.
func (o *original) signIn(address string) {
	o.t.Helper()
	if reply := o.trySignIn(address); reply != signedIn {
		o.t.Fatalf("login of %s: got %s", o.name, reply)
	}
}

// signedIn is the reply to a login.
const signedIn = `{"type":"login","success":true}`

// trySignIn connects and signs in. It returns the reply, in place of which a message to oneself
// comes back in the relay dialect.
func (o *original) trySignIn(address string) (reply string) {
	o.t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+address, nil)
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { _ = ws.Close() })
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	o.Conn = ws
	if o.dialect == signal.DialectRelay {
		o.write(`{"inst":"init","id":%q}`, o.name)
		o.quiet()
		return signedIn
	}
	o.write(`{"type":"login","name":%q}`, o.name)
	_, frame, err := o.ReadMessage()
	if err != nil {
		o.t.Fatalf("login of %s: %v", o.name, err)
	}
	return string(frame)
}

func (o *original) write(format string, values ...any) {
	o.t.Helper()
	if err := o.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, format, values...)); err != nil {
		o.t.Fatal(err)
	}
}

// send sends an offer, an answer or a candidate.
func (o *original) send(typ signal.Type, to string) {
	o.t.Helper()
	switch {
	case o.dialect == signal.DialectRelay:
		o.write(`{"inst":"send","peerId":%q,"message":%s}`, to, o.frame(typ, ""))
	default:
		o.write("%s", o.frame(typ, to))
	}
}

// gets checks that a message that another client has sent is the next one.
func (o *original) gets(typ signal.Type, from *original) {
	o.t.Helper()
	o.wants(o.frame(typ, from.name))
}

// frame returns a message with the name of the peer, which the relay dialect does not have.
func (o *original) frame(typ signal.Type, peer string) string {
	description := fmt.Sprintf(`{"type":%q,"sdp":"v=0"}`, typ)
	switch {
	case o.dialect == signal.DialectRelay && typ == signal.ICECandidate:
		return `{"candidate":{"candidate":"1"}}`
	case o.dialect == signal.DialectRelay:
		return description
	case typ == signal.ICECandidate:
		description = `{"candidate":"1"}`
	}
	return fmt.Sprintf(`{"type":%q,%q:%s,"name":%q}`, typ, typ, description, peer)
}

func (o *original) wants(text string) {
	o.t.Helper()
	_, frame, err := o.ReadMessage()
	if err != nil || string(frame) != text {
		o.t.Fatalf("%s received %s, %v, want %s", o.name, frame, err, text)
	}
}

// quiet checks that nothing has come.
func (o *original) quiet() {
	o.t.Helper()
	if o.dialect == signal.DialectCall {
		o.write(`{"type":"?"}`)
		o.wants(`{"type":"error","message":"Command not found: ?","code":"unknown_type"}`)
		return
	}
	o.write(`{"inst":"send","peerId":%q,"message":{"to":"oneself"}}`, o.name)
	o.wants(`{"to":"oneself"}`)
}

// startOriginals starts three servers, and a call of alice at the first with bob at the second.
func startOriginals(t *testing.T, dialect signal.Dialect) (servers []*serverProcess, alice, bob *original) {
	t.Helper()
	nats := natstest.Start(t, natsserver.Options{})
	for range 3 {
		servers = append(servers, startServerProcess(t, nats.URL))
	}
	alice, bob = &original{t: t, dialect: dialect, name: "alice"}, &original{t: t, dialect: dialect, name: "bob"}
	alice.signIn(servers[0].address)
	bob.signIn(servers[1].address)
	alice.opens(bob)
	return servers, alice, bob
}

// opens opens a call.
func (o *original) opens(peer *original) {
	o.t.Helper()
	o.send(signal.Offer, peer.name)
	peer.gets(signal.Offer, o)
	peer.send(signal.Answer, o.name)
	o.gets(signal.Answer, peer)
	for _, pair := range [][2]*original{{peer, o}, {o, peer}} {
		pair[0].send(signal.ICECandidate, pair[1].name)
		pair[1].gets(signal.ICECandidate, pair[0])
	}
}

// TestRestartOfOriginals drains the servers of two clients as the original programs are, one after
// the other, during a call. The client of a server that drains is closed with 1012, and has its
// name again as soon as it signs in elsewhere. Its peer gets nothing: no leave, and no error for
// what it still sends. The next offer, of either, opens the call again.
func TestRestartOfOriginals(t *testing.T) {
	t.Parallel()
	for _, dialect := range []signal.Dialect{signal.DialectCall, signal.DialectRelay} {
		t.Run(string(dialect), func(t *testing.T) {
			t.Parallel()
			servers, alice, bob := startOriginals(t, dialect)
			users := []*original{alice, bob}
			for i, moved := range users {
				peer := users[1-i]
				_ = servers[i].stdin.Close() // the server drains
				var closed *websocket.CloseError
				if _, frame, err := moved.ReadMessage(); !errors.As(err, &closed) || closed.Code != websocket.CloseServiceRestart {
					t.Fatalf("%s received %s, %v, want the end with %d", moved.name, frame, err, websocket.CloseServiceRestart)
				}
				began := time.Now()
				moved.signIn(servers[2].address)
				if took := time.Since(began); took > testLease/2 {
					t.Errorf("login of %s at another server took %s, want much less than the lease of %s", moved.name, took, testLease)
				}
				if err := servers[i].wait(); err != nil {
					t.Errorf("the server that has drained: %v", err)
				}
				peer.send(signal.ICECandidate, moved.name) // of the call before
				peer.quiet()
				moved.quiet()
				peer.opens(moved)
			}
		})
	}
}

// TestKillOfOriginals kills the server of a client as the original programs are, during a call. In
// the relay dialect it has its name at once, since every login takes the name. In the call dialect
// it has no secret to prove that the name is its own, and is asked to come again until the lease of
// the server has ended; then its peer gets a leave, at the latest before the next offer.
func TestKillOfOriginals(t *testing.T) {
	t.Parallel()
	for _, dialect := range []signal.Dialect{signal.DialectCall, signal.DialectRelay} {
		t.Run(string(dialect), func(t *testing.T) {
			t.Parallel()
			servers, alice, bob := startOriginals(t, dialect)
			servers[0].kill()
			began := time.Now()
			reply, refusals := alice.trySignIn(servers[2].address), 0
			for ; reply != signedIn; refusals++ {
				if !strings.Contains(reply, `"success":false`) || !strings.Contains(reply, `"code":"unavailable"`) || time.Since(began) > patience {
					t.Fatalf("login of alice at another server, after %s: got %s", time.Since(began), reply)
				}
				reply = alice.trySignIn(servers[2].address)
			}
			if took := time.Since(began); dialect == signal.DialectRelay && took > testLease/2 || dialect == signal.DialectCall && refusals == 0 {
				t.Errorf("login of alice at another server took %s, with %d refusals; the lease is of %s", took, refusals, testLease)
			}
			alice.send(signal.Offer, "bob")
			if dialect == signal.DialectCall {
				if _, frame, err := bob.ReadMessage(); err != nil || !strings.HasPrefix(string(frame), `{"type":"leave","name":"alice"`) {
					t.Fatalf("bob received %s, %v, want a leave", frame, err)
				}
			}
			bob.gets(signal.Offer, alice)
			bob.opens(alice)
		})
	}
}

// TestRestartOfRelay drains the server of a parley that uses the relay dialect, in a call: it signs
// in anew at another server, by itself, and the next offer opens the call again.
func TestRestartOfRelay(t *testing.T) {
	t.Parallel()
	nats := natstest.Start(t, natsserver.Options{})
	a, b := startServerProcess(t, nats.URL), startServerProcess(t, nats.URL)
	l := startBalancer(t, a.address)
	alice := signInWith(t, l.url(), "alice", client.Options{Dialect: signal.DialectRelay, Resume: true})
	bob := signInWith(t, "ws://"+b.address, "bob", client.Options{Dialect: signal.DialectRelay, Resume: true})
	exchange := func() {
		t.Helper()
		for _, pair := range [][2]*user{{alice, bob}, {bob, alice}} {
			pair[0].send(signal.Offer, pair[1].name, "v=0 offer")
			pair[1].wants(signal.Offer, "")
			pair[1].send(signal.Answer, pair[0].name, "v=0 answer")
			pair[0].wants(signal.Answer, "")
		}
	}
	exchange()
	l.choose(b.address)
	_ = a.stdin.Close()
	if alice.back() {
		t.Error("the session of the relay dialect was resumed at another server, want a new one")
	}
	exchange()
}
