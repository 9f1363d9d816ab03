package server_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"parley/signal/server"
	"parley/signal/signaltest"
)

// signalURL is our server with no limits: many tests do in a moment what takes people an hour. TestLimits is about those.
func signalURL(t testing.TB) string {
	t.Helper()
	return signaltest.Start(t, &server.Options{Limits: server.NoLimits()})
}

// barrier returns when the server has served all that ws sent before.
func barrier(t testing.TB, ws *websocket.Conn) {
	t.Helper()
	ask(t, ws, map[string]any{"type": "leave", "name": "nobody"},
		map[string]any{"type": "error", "code": "no_call", "name": "nobody", "message": "there is no call with nobody"})
}

// exchange sends a message and returns the next that comes.
func exchange(t testing.TB, ws *websocket.Conn, message any) map[string]any {
	t.Helper()
	if err := ws.WriteJSON(message); err != nil {
		t.Fatal(err)
	}
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	var got map[string]any
	if err := ws.ReadJSON(&got); err != nil {
		t.Fatal(err)
	}
	return got
}

func ask(t testing.TB, ws *websocket.Conn, message, want map[string]any) {
	t.Helper()
	if diff := cmp.Diff(want, exchange(t, ws, message)); diff != "" {
		t.Errorf("the answer to %v:\n%s", message, diff)
	}
}

// loopback is where the tests' proxies are.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
