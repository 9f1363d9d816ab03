package server_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"parley/signal/server"
	"parley/signal/signaltest"
)

// TestFloodOfSlowReader lets several peers send to a client that does not read, until each is
// refused. A peer that comes then can still call the client, which reads everything in the end and
// is still signed in.
func TestFloodOfSlowReader(t *testing.T) {
	options := &server.Options{MaxQueue: 64 << 10, Limits: server.NoLimits()}
	url := signaltest.Start(t, options)
	_, secure := secureServer(t, options)
	for name, user := range map[string]func(string) *websocket.Conn{
		"TCP": func(name string) *websocket.Conn {
			ws := dialRaw(t, url)
			t.Cleanup(func() { _ = ws.Close() })
			ask(t, ws, loginAs(name), loggedIn)
			return ws
		},
		"TLS": secure.secureUser,
	} {
		t.Run(name, func(t *testing.T) {
			slow := user("slow")
			accepted := 0
			for i := range 5 {
				accepted += flood(t, user(fmt.Sprint("flooder", i)), "slow", 8<<10)
			}
			carol := user("carol")
			if err := carol.WriteMessage(websocket.TextMessage, offerTo("slow", 100)); err != nil {
				t.Fatal(err)
			}
			barrier(t, carol)
			for ; accepted > 0; accepted-- {
				if got := hearsNext(t, slow); got["type"] != "offer" || got["name"] == "carol" {
					t.Fatalf("%d offers of the flood are missing: got %v", accepted, got)
				}
			}
			if got := hearsNext(t, slow); got["type"] != "offer" || got["name"] != "carol" {
				t.Errorf("after the flood: got %v, want the offer of carol", got)
			}
			barrier(t, slow)
		})
	}
}

// TestFloodOfAbsentClient does the same to clients that can resume: one that is away, and one that
// acknowledges nothing.
func TestFloodOfAbsentClient(t *testing.T) {
	for name, away := range map[string]bool{"away": true, "no acknowledgment": false} {
		t.Run(name, func(t *testing.T) {
			srv, url := signaltest.StartServer(t, &server.Options{MaxQueue: 16 << 10, Resume: time.Hour, Limits: server.NoLimits()})
			alice := newReturning(t, url, "alice")
			if away {
				alice.vanish(srv)
			}
			accepted := 0
			for i := range 3 {
				ws := dialRaw(t, url)
				defer ws.Close()
				ask(t, ws, loginAs(fmt.Sprint("flooder", i)), loggedIn)
				accepted += flood(t, ws, "alice", 1<<10)
			}
			if got := alice.back(alice.ticket, 0); got["success"] != true {
				t.Fatalf("resuming: %v", got)
			}
			for range accepted {
				if got := hearsNext(t, alice.ws); got["type"] != "offer" {
					t.Fatalf("got %v, want an offer of the flood", got)
				}
			}
		})
	}
}

// TestHangUpFlood lets a peer call a client that does not read, and hang up, again and again.
// That peer is refused, and the peer of an earlier call is not.
func TestHangUpFlood(t *testing.T) {
	srv, url := signaltest.StartServer(t, &server.Options{MaxQueue: 16 << 10, Resume: time.Hour, Limits: server.NoLimits()})
	alice, bob, mallory := newReturning(t, url, "alice"), readInBackground(dialRaw(t, url)), readInBackground(dialRaw(t, url))
	defer bob.Close()
	defer mallory.Close()
	ask(t, bob, loginAs("bob"), loggedIn)
	ask(t, mallory, loginAs("mallory"), loggedIn)
	say := func(ws *background, frame []byte) {
		t.Helper()
		if err := ws.WriteMessage(websocket.TextMessage, frame); err != nil {
			t.Fatal(err)
		}
	}
	say(bob, offerTo("alice", 100))
	barrier(t, bob)
	alice.vanish(srv)
	calls := 0
	for ; ; calls++ {
		say(mallory, offerTo("alice", 100))
		say(mallory, []byte(`{"type":"leave","name":"alice"}`))
		if refused(t, mallory) {
			break
		}
	}
	say(bob, []byte(`{"type":"candidate","candidate":`+candidate+`,"name":"alice"}`))
	barrier(t, bob)
	if got := alice.back(alice.ticket, 0); got["success"] != true {
		t.Fatalf("resuming: %v", got)
	}
	frames := 1 + 2*calls
	for range frames {
		hearsNext(t, alice.ws)
	}
	if got := hearsNext(t, alice.ws); got["type"] != "candidate" || got["name"] != "bob" {
		t.Errorf("after the calls of mallory: got %v, want the candidate of bob", got)
	}
}

// TestSlowReaderKeepsItsName claims the name of a client that reads slowly, so that its pong to the
// probe comes late.
func TestSlowReaderKeepsItsName(t *testing.T) {
	url := signaltest.Start(t, &server.Options{PingInterval: time.Hour, Limits: server.NoLimits()})
	users := map[string]*websocket.Conn{}
	for _, name := range []string{"slow", "flooder", "other"} {
		users[name] = dialRaw(t, url)
		defer users[name].Close()
		ask(t, users[name], loginAs(name), loggedIn)
	}
	waiting := flood(t, users["flooder"], "slow", 1<<10)
	reply := make(chan map[string]any, 1)
	go func() { reply <- exchange(t, users["other"], loginAs("slow")) }()
	reading := time.NewTicker(5 * time.Millisecond)
	defer reading.Stop()
	for {
		select {
		case got := <-reply:
			if got["code"] != "taken" {
				t.Errorf("claim of the name of a client that is reading: got %v, want the code taken", got)
			}
			return
		case <-reading.C:
		}
		if waiting--; waiting == 0 {
			t.Fatal("the client has read everything before the claim was decided")
		}
		hearsNext(t, users["slow"])
	}
}

// offerTo returns an offer with a description of n bytes.
func offerTo(name string, n int) []byte {
	description := map[string]string{"type": "offer", "sdp": strings.Repeat("x", n)}
	frame, _ := json.Marshal(map[string]any{"type": "offer", "name": name, "offer": description}) // strings have no error
	return frame
}

// flood sends offers with descriptions of n bytes until one is refused, and returns how many were
// not.
func flood(t *testing.T, ws *websocket.Conn, name string, n int) (accepted int) {
	t.Helper()
	for ; ; accepted++ {
		if err := ws.WriteMessage(websocket.TextMessage, offerTo(name, n)); err != nil {
			t.Fatal(err)
		}
		if refused(t, ws) {
			return accepted
		}
	}
}

// refused reports whether a message that ws has sent before was refused because too much waits for
// its receiver.
func refused(t *testing.T, ws rawClient) (full bool) {
	t.Helper()
	if err := ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"leave","name":"nobody"}`)); err != nil {
		t.Fatal(err)
	}
	for {
		switch got := hearsNext(t, ws); {
		case got["code"] == "queue_full":
			full = true
		case got["code"] == "no_call" && got["name"] == "nobody":
			return full
		default:
			t.Fatalf("got %v, want no message but errors", got)
		}
	}
}
