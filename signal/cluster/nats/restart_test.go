//go:build !quick

package nats_test

import (
	"errors"
	"fmt"
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

// signIn connects and signs in. The reply to it is the first message; the relay dialect has none,
// but for a message to oneself.
func (o *original) signIn(address string) {
	o.t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+address, nil)
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { _ = ws.Close() })
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	o.Conn = ws
	if o.dialect == signal.DialectCall {
		o.write(`{"type":"login","name":%q}`, o.name)
		o.wants(`{"type":"login","success":true}`)
		return
	}
	o.write(`{"inst":"init","id":%q}`, o.name)
	o.quiet()
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

// TestRestartOfOriginals restarts the servers of two clients as the original programs are, one
// after the other, during a call. The client of a server that drains is closed with 1012, and has
// its name again as soon as it signs in elsewhere. Its peer gets nothing: no leave, and no error
// for what it still sends. The next offer, of either, opens the call again.
func TestRestartOfOriginals(t *testing.T) {
	t.Parallel()
	for _, dialect := range []signal.Dialect{signal.DialectCall, signal.DialectRelay} {
		t.Run(string(dialect), func(t *testing.T) {
			t.Parallel()
			nats := natstest.Start(t, natsserver.Options{})
			servers := []*serverProcess{startServerProcess(t, nats.URL), startServerProcess(t, nats.URL), startServerProcess(t, nats.URL)}
			users := []*original{{t: t, dialect: dialect, name: "alice"}, {t: t, dialect: dialect, name: "bob"}}
			for i, u := range users {
				u.signIn(servers[i].address)
			}
			users[0].send(signal.Offer, "bob")
			users[1].gets(signal.Offer, users[0])
			users[1].send(signal.Answer, "alice")
			users[0].gets(signal.Answer, users[1])
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

				peer.send(signal.Offer, moved.name)
				moved.gets(signal.Offer, peer)
				moved.send(signal.Answer, peer.name)
				peer.gets(signal.Answer, moved)
				moved.send(signal.ICECandidate, peer.name)
				peer.gets(signal.ICECandidate, moved)
				peer.send(signal.ICECandidate, moved.name)
				moved.gets(signal.ICECandidate, peer)
			}
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
	alice := signInWith(t, l.url(), "alice", client.Options{Dialect: signal.DialectRelay})
	bob := signInWith(t, "ws://"+b.address, "bob", client.Options{Dialect: signal.DialectRelay})
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
