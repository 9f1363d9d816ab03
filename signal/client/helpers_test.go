package client_test

import (
	"testing"
	"time"

	"parley/signal/server"
	"parley/signal/signaltest"
)

// patience bounds the wait of a step that fails; none that succeeds takes so long.
const patience = time.Minute

// signalURL starts a server without limits.
func signalURL(t testing.TB) string {
	t.Helper()
	return signaltest.Start(t, &server.Options{Limits: server.NoLimits()})
}

// eventually waits until is returns true.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}
