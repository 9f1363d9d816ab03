package server_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"parley/signal/cluster"
	"parley/signal/server"
	"parley/signal/signaltest"
)

// TestWatch plays what a client that watches a name gets.
func TestWatch(t *testing.T) {
	const (
		watchBob = `alice > {"type":"watch","name":"bob"}
			`
		awaited = `alice = {"type":"watch","name":"bob","present":false,"expiresIn":300000}
			`
		present = `alice = {"type":"watch","name":"bob","present":true}
			`
	)
	for name, lines := range map[string]string{
		"a name that signs in is reported once": signIn("alice") + watchBob + awaited + signIn("bob") + present + `
			bob closes
			` + signIn("bob") + `
			alice quiet`,
		"a name that is signed in is reported at once": signIn("alice", "bob") + watchBob + present + `
			bob closes
			` + signIn("bob") + `
			alice quiet`,
		"the user takes part in calls when it is reported": signIn("alice") + watchBob + awaited + signIn("bob") + present + `
			alice > {"type":"offer","offer":` + offerSDP + `,"name":"bob"}
			bob < {"type":"offer","offer":` + offerSDP + `,"name":"alice"}`,
		"a repeated watch is one":  signIn("alice") + watchBob + awaited + watchBob + awaited + signIn("bob") + present + `alice quiet`,
		"several watch the same":   signIn("alice", "carol") + watchBob + awaited + `carol > {"type":"watch","name":"bob"}` + "\n" + `carol has "present":false` + "\n" + signIn("bob") + present + `carol has "present":true`,
		"one's own name":           signIn("bob") + `bob > {"type":"watch","name":"bob"}` + "\n" + `bob = {"type":"watch","name":"bob","present":true}`,
		"the other dialect's name": signIn("alice") + watchBob + awaited + `bob > {"inst":"init","id":"bob"}` + "\n" + `alice quiet`,
		"another name of the same connection does not watch": signIn("alice") + watchBob + awaited + `
			alice > {"type":"login","name":"anna"}
			alice < {"type":"login","success":true}
			` + signIn("bob") + `alice quiet`,
		"before the login": `
			alice > {"type":"watch","name":"bob"}
			alice < {"type":"error","code":"login_first","message":"sign in first: send a login with a name"}`,
		"no name": signIn("alice") + `
			alice > {"type":"watch"}
			alice has "code":"bad_name"`,
		"the relay dialect": `
			alice > {"inst":"init","id":"alice","reply":true,"errors":true}
			alice < {"type":"login","success":true}
			alice > {"inst":"watch","peerId":"bob"}
			` + awaited + `
			bob > {"inst":"init","id":"bob"}
			` + present,
		"the relay dialect forwards no notification": `
			bob > {"inst":"init","id":"bob","reply":true,"errors":true}
			bob < {"type":"login","success":true}
			alice > {"inst":"init","id":"alice","reply":true,"errors":true}
			alice < {"type":"login","success":true}
			alice > {"inst":"send","peerId":"bob","message":{"type":"watch","name":"carol","present":true}}
			alice has "code":"bad_message"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, signaltest.Start(t, nil), lines)
		})
	}
}

// TestWatchLimits fills the watches of a session and those of an address.
func TestWatchLimits(t *testing.T) {
	limits := server.NoLimits()
	limits.Watches, limits.WatchesPerAddress = 8, 20
	s := newScript(t, signaltest.Start(t, &server.Options{Limits: limits}))
	defer s.end()
	watch := func(user string, from, to int, answer string) {
		for i := from; i < to; i++ {
			s.play(fmt.Sprintf("%s > {\"type\":\"watch\",\"name\":\"user%d\"}\n%s has %s", user, i, user, answer))
		}
	}
	const accepted, refused = `"present":false`, `"code":"too_many_watches"`
	s.play(signIn("alice", "bob", "carol"))
	watch("alice", 0, 8, accepted)
	watch("alice", 8, 12, refused)
	watch("alice", 0, 8, accepted) // which are watched already
	watch("bob", 0, 8, accepted)
	watch("carol", 20, 24, accepted)
	watch("carol", 24, 26, refused) // all have one address
	s.play(signIn("user0") + `
		alice has "present":true
		bob has "present":true`)
	watch("carol", 24, 26, accepted)
	watch("carol", 26, 27, refused)
	s.play("alice closes")
	watch("carol", 26, 28, accepted)
	watch("carol", 28, 29, refused) // of one session
	watch("bob", 30, 31, accepted)
}

// TestWatchExpires adds watches until an earlier one has expired. That is not notified.
func TestWatchExpires(t *testing.T) {
	limits := server.NoLimits()
	limits.Watches, limits.WatchFor = 1, 50*time.Millisecond
	s := newScript(t, signaltest.Start(t, &server.Options{Limits: limits}))
	defer s.end()
	s.play(signIn("alice") + `
		alice > {"type":"watch","name":"bob"}
		alice = {"type":"watch","name":"bob","present":false,"expiresIn":50}`)
	ws := s.conns["alice"]
	for code := any("too_many_watches"); code != nil; {
		if err := ws.WriteJSON(map[string]string{"type": "watch", "name": "carol"}); err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		_, frame, err := ws.ReadMessage()
		if err == nil {
			err = json.Unmarshal(frame, &got)
		}
		if err != nil {
			t.Fatal(err)
		}
		code = got["code"]
	}
	s.play(signIn("bob") + "alice quiet")
}

// TestWatchFlood has a client watch 100,000 names. With the default limits it is cut off after a
// few; without those of messages, the server keeps no more than 8. Another client is served
// meanwhile.
func TestWatchFlood(t *testing.T) {
	const names = 100_000
	flood := func(ws *websocket.Conn) (sent int) {
		for i := range names {
			if ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":"watch","name":"user%d"}`, i)) != nil {
				return i
			}
		}
		return names
	}
	t.Run("default limits", func(t *testing.T) {
		t.Parallel()
		s := newScript(t, signaltest.Start(t, nil))
		defer s.end()
		s.play(signIn("alice", "bob"))
		ws := s.conns["alice"]
		done := make(chan int)
		go func() { done <- flood(ws.Conn) }()
		replies := map[string]int{}
		for {
			_, frame, err := ws.ReadMessage()
			if err != nil {
				if !websocket.IsCloseError(err, 4429) {
					t.Errorf("the flood ends with %v, want close code 4429", err)
				}
				break
			}
			for _, kind := range []string{`"present":false`, "too_many_watches", "rate_limited"} {
				if strings.Contains(string(frame), kind) {
					replies[kind]++
				}
			}
		}
		<-done
		if replies[`"present":false`] != 8 || replies["too_many_watches"] > 10 || replies["rate_limited"] > 4 {
			t.Errorf("got %v, want 8 watches and a few errors", replies)
		}
		s.play("bob quiet")
	})
	t.Run("no limit of messages", func(t *testing.T) {
		t.Parallel()
		limits := server.NoLimits()
		limits.Watches = 8
		s := newScript(t, signaltest.Start(t, &server.Options{Limits: limits, MaxQueue: 64 << 20}))
		defer s.end()
		s.play(signIn("alice"))
		ws := s.conns["alice"]
		done := make(chan int)
		go func() { done <- flood(ws.Conn) }()
		accepted := 0
		for range names {
			_, frame, err := ws.ReadMessage()
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(frame), `"present":false`) {
				accepted++
			}
		}
		if <-done; accepted != 8 {
			t.Errorf("%d names are watched, want 8", accepted)
		}
		s.play(signIn("user7") + `alice = {"type":"watch","name":"user7","present":true}` + "\n" + signIn("user8") + "alice quiet")
	})
}

// TestWatchOnAnotherNode plays with a node that does not notify.
func TestWatchOnAnotherNode(t *testing.T) {
	node := struct{ cluster.Node }{cluster.NewMemory()}
	play(t, signaltest.Start(t, &server.Options{Cluster: node}), signIn("alice")+`
		alice > {"type":"watch","name":"bob"}
		alice < {"type":"error","code":"unknown_type","message":"Command not found: watch"}`)
}

// TestCloseWithWatches closes a server with clients that watch, one of which is away.
func TestCloseWithWatches(t *testing.T) {
	srv, url := signaltest.StartServer(t, nil)
	s := newScript(t, url)
	defer s.end()
	s.play(signIn("alice") + `
		alice > {"type":"watch","name":"bob"}
		alice has "present":false
		carol > {"type":"login","name":"carol","resume":true}
		carol has "resume"
		carol > {"type":"watch","name":"bob","seq":1}
		carol has "present":false
		carol vanishes`)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = srv.Close()
	}()
	select {
	case <-closed:
	case <-time.After(patience):
		t.Error("the server does not close")
	}
}
