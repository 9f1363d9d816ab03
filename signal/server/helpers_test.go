package server_test

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"parley/signal/server"
	"parley/signal/signaltest"
)

// signalURL is our server with no limits: many tests do in a moment what takes people an hour.
// TestLimits is about those.
func signalURL(t testing.TB) string {
	t.Helper()
	return signaltest.Start(t, &server.Options{Limits: server.NoLimits()})
}

// barrier returns when the server has served all that ws sent before.
func barrier(t testing.TB, ws rawClient) {
	t.Helper()
	ask(t, ws, map[string]any{"type": "leave", "name": "nobody"},
		map[string]any{"type": "error", "code": "no_call", "name": "nobody", "message": "there is no call with nobody"})
}

// exchange sends a message and returns the next that comes.
func exchange(t testing.TB, ws rawClient, message any) map[string]any {
	t.Helper()
	frame, err := json.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	if err := ws.WriteMessage(websocket.TextMessage, frame); err != nil {
		t.Fatal(err)
	}
	return hearsNext(t, ws)
}

// hearsNext returns the next message that comes.
func hearsNext(t testing.TB, ws rawClient) map[string]any {
	t.Helper()
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	var got map[string]any
	_, frame, err := ws.ReadMessage()
	if err == nil {
		err = json.Unmarshal(frame, &got)
	}
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func ask(t testing.TB, ws rawClient, message, want map[string]any) {
	t.Helper()
	if diff := cmp.Diff(want, exchange(t, ws, message)); diff != "" {
		t.Errorf("the answer to %v:\n%s", message, diff)
	}
}

// loopback is where the tests' proxies are.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
