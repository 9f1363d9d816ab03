package peer

import (
	"testing"
	"time"

	"parley/peer/netem"
)

// waitFor polls a condition that no event announces.
func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timeout waiting for %s", what)
		}
	}
}

// TestCallThroughEmulator checks that all packets of a call pass its emulator.
func TestCallThroughEmulator(t *testing.T) {
	t.Parallel()
	const delay = 40 * time.Millisecond
	e := netem.NewEmulator(netem.Config{Delay: delay, Loss: .1, Seed: 7})
	t.Cleanup(func() { _ = e.Close() })
	a, b := pair(t, func(caller, _ *Config) { caller.Netem = e })
	a.call.Say("first")
	b.awaitText("first")
	a.awaitConnected()
	waitFor(t, "a round-trip time", func() bool { return a.call.Stats().RTT != nil })
	if rtt := *a.call.Stats().RTT; rtt < 2*delay {
		t.Errorf("RTT: got %v, want at least %v", rtt, 2*delay)
	}
	e.SetConfig(netem.Config{Loss: 1})
	_, before := e.Counts()
	b.call.Say("lost")
	waitFor(t, "a lost packet", func() bool { _, in := e.Counts(); return in.Dropped > before.Dropped })
	e.SetConfig(netem.Config{})
	a.awaitText("lost")
}
