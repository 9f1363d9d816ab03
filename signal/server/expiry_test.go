package server_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"parley/signal"
	"parley/signal/server"
	"parley/signal/signaltest"
)

// expiringServer runs a server that looks every millisecond for sessions that expire. The token is
// how long a session lasts, such as 300ms; without one it lasts for ever.
func expiringServer(t *testing.T, options server.Options) (s *server.Server, url string) {
	t.Helper()
	options.PingInterval, options.PongTimeout = 25*time.Millisecond, patience
	options.Auth = authFunc(func(_ context.Context, r signal.LoginRequest) (signal.Identity, error) {
		if r.Token == "" {
			return signal.Identity{}, nil
		}
		life, err := time.ParseDuration(r.Token)
		if err != nil {
			return signal.Identity{}, &signal.Denied{Reason: "invalid token"}
		}
		return signal.Identity{Expires: time.Now().Add(life)}, nil
	})
	return signaltest.StartServer(t, &options)
}

// next returns the next message of ws that is not an ack.
func next(t *testing.T, ws *websocket.Conn) map[string]any {
	t.Helper()
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	for {
		var m map[string]any
		if err := ws.ReadJSON(&m); err != nil {
			t.Fatal(err)
		}
		if m["type"] != "ack" {
			return m
		}
	}
}

func sendText(t *testing.T, ws *websocket.Conn, message string) {
	t.Helper()
	if err := ws.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
		t.Fatal(err)
	}
}

// expiresIn returns the member expiresIn of a message, checked against its bound.
func expiresIn(t *testing.T, m map[string]any, most time.Duration) time.Duration {
	t.Helper()
	ms, ok := m["expiresIn"].(float64)
	left := time.Duration(ms) * time.Millisecond
	if !ok || left <= 0 || left > most {
		t.Errorf("got %v, want expiresIn up to %v", m, most)
	}
	return left
}

// TestSessionExpires ends a session with its token: after a warning, with 4401; the call goes on
// without the server.
func TestSessionExpires(t *testing.T) {
	for name, login := range map[string]string{
		"call":             `{"type":"login","name":"alice","token":"300ms"}`,
		"call, resumable":  `{"type":"login","name":"alice","token":"300ms","resume":true}`,
		"relay":            `{"inst":"init","id":"alice","token":"300ms","reply":true}`,
		"relay, resumable": `{"inst":"init","id":"alice","token":"300ms","reply":true,"resume":true}`,
	} {
		t.Run(name, func(t *testing.T) {
			s, url := expiringServer(t, server.Options{})
			alice := dialRaw(t, url)
			defer alice.Close()
			sendText(t, alice, login)
			expiresIn(t, next(t, alice), 300*time.Millisecond)
			warning := next(t, alice)
			if warning["type"] != "expiring" {
				t.Errorf("got %v, want a warning", warning)
			}
			expiresIn(t, warning, 150*time.Millisecond)
			if err := closedWith(alice, 4401); err != nil {
				t.Error(err)
			}
			if n := s.Stats().Names; n != 0 {
				t.Errorf("%d names are left", n)
			}
		})
	}
}

// TestExpiredPartner: the peer of a call gets a leave with lost when the session expires.
func TestExpiredPartner(t *testing.T) {
	_, url := expiringServer(t, server.Options{})
	play(t, url, `
		bob > {"type":"login","name":"bob"}
		bob < {"type":"login","success":true}
		alice > {"type":"login","name":"alice","token":"300ms"}
		alice has expiresIn
		alice > {"type":"offer","offer":`+offerSDP+`,"name":"bob"}
		bob < {"type":"offer","offer":`+offerSDP+`,"name":"alice"}
		bob < {"type":"leave","name":"alice","lost":true}
		alice closed 4401`)
}

// TestExpiryWithoutReply ends the session of a client of the relay dialect that understands no
// extras, and sends it nothing before.
func TestExpiryWithoutReply(t *testing.T) {
	_, url := expiringServer(t, server.Options{})
	ws := dialRaw(t, url+"/?token=200ms")
	defer ws.Close()
	sendText(t, ws, `{"inst":"init","id":"Gandalf"}`)
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	_, frame, err := ws.ReadMessage()
	var closed *websocket.CloseError
	if !errors.As(err, &closed) || closed.Code != 4401 {
		t.Errorf("got %q, %v", frame, err)
	}
}

// TestRenewal renews a session in a call: a better token makes it last longer, a bad one changes
// nothing.
func TestRenewal(t *testing.T) {
	for name, resume := range map[string]string{"plain": "", "resumable": `,"resume":true`} {
		t.Run(name, func(t *testing.T) {
			_, url := expiringServer(t, server.Options{})
			alice, bob := dialRaw(t, url), dialRaw(t, url)
			defer alice.Close()
			defer bob.Close()
			sendText(t, bob, `{"type":"login","name":"bob"}`)
			next(t, bob)
			sendText(t, alice, `{"type":"login","name":"alice","token":"1h"`+resume+`}`)
			expiresIn(t, next(t, alice), time.Hour)
			sendText(t, alice, `{"type":"offer","offer":`+offerSDP+`,"name":"bob"}`)
			next(t, bob)

			sendText(t, alice, `{"type":"login","name":"alice","token":"nonsense"}`)
			if m := next(t, alice); m["success"] != false || m["code"] != "unauthorized" {
				t.Errorf("a bad token: got %v", m)
			}
			sendText(t, alice, `{"type":"login","name":"alice","token":"2h"}`)
			m := next(t, alice)
			if left := expiresIn(t, m, 2*time.Hour); m["success"] != true || left < 90*time.Minute {
				t.Errorf("a good token: got %v", m)
			}
			// The call is still there.
			sendText(t, alice, candidateNumber(1, `"name":"bob"`))
			if m := next(t, bob); m["type"] != "candidate" {
				t.Errorf("got %v, want the candidate", m)
			}
			// A shorter one counts, too.
			sendText(t, alice, `{"type":"login","name":"alice","token":"100ms"}`)
			if err := closedWith(alice, 4401); err != nil {
				t.Error(err)
			}
			if m := next(t, bob); m["type"] != "leave" {
				t.Errorf("got %v, want the leave", m)
			}
		})
	}
}

// TestExpiryWhileAway lets a session expire while its client is away.
func TestExpiryWhileAway(t *testing.T) {
	s, url := expiringServer(t, server.Options{})
	alice := &returning{t: t, url: url, name: "alice"}
	alice.dial()
	alice.ticket, _ = exchange(t, alice.ws, map[string]any{"type": "login", "name": "alice", "resume": true, "token": "1h"})["resume"].(string)
	alice.vanish(s)
	if left := expiresIn(t, alice.back(alice.ticket, 0), time.Hour); left < 50*time.Minute {
		t.Errorf("after a resume: %v are left", left)
	}
	alice.says(`{"type":"login","name":"alice","token":"200ms","seq":1}`)
	expiresIn(t, next(t, alice.ws), 200*time.Millisecond)
	alice.vanish(s)
	eventually(t, "the session expires", func() bool { return s.Stats().Names == 0 })
	if got := alice.back(alice.ticket, 1); got["success"] != false || got["code"] != "expired" {
		t.Errorf("got %v", got)
	}
}

// TestExpiredIdentity refuses a login whose token has expired when the authorizer accepts it.
func TestExpiredIdentity(t *testing.T) {
	_, url := expiringServer(t, server.Options{})
	play(t, url, `
		alice > {"type":"login","name":"alice","token":"-1s"}
		alice < {"type":"login","success":false,"code":"unauthorized","message":"the token has expired"}
		alice closed 4401`)
}

// TestICEServersUntilExpiry gives out no credentials that last longer than the session.
func TestICEServersUntilExpiry(t *testing.T) {
	lives := make(chan time.Duration, 8)
	_, url := expiringServer(t, server.Options{ICEServersFor: 24 * time.Hour, ICEServers: func(_ string, life time.Duration) []signal.ICEServer {
		lives <- life
		return []signal.ICEServer{{URLs: []string{"turn:a"}, Username: "u", Credential: "c"}}
	}})
	alice := dialRaw(t, url)
	defer alice.Close()
	check := func(what string, least, most time.Duration, m map[string]any) {
		t.Helper()
		ms, _ := m["iceServersFor"].(float64)
		reported := time.Duration(ms) * time.Millisecond
		if life := <-lives; life < least || life > most || reported > life || reported < least {
			t.Errorf("%s: credentials for %v, iceServersFor %v, want %v to %v", what, life, reported, least, most)
		}
	}
	check("at the login", time.Minute, time.Hour, exchange(t, alice, map[string]any{"type": "login", "name": "alice", "token": "1h", "iceServers": true}))
	check("asked again", time.Minute, time.Hour, exchange(t, alice, map[string]any{"type": "iceServers"}))
	check("renewed", 2*time.Hour, 3*time.Hour, exchange(t, alice, map[string]any{"type": "login", "name": "alice", "token": "3h", "iceServers": true}))
	check("without end", 24*time.Hour, 24*time.Hour, exchange(t, alice, map[string]any{"type": "login", "name": "alice", "iceServers": true}))
}
