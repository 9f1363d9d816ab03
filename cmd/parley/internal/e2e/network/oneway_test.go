//go:build linux

package network

import (
	"fmt"
	"testing"
	"time"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/cmd/parley/internal/exit"
)

// pathEnds is how long a call goes on whose path is gone for good: 30 s until consent expires
// (RFC 7675), and 30 s for an ICE restart. The rest is for a busy machine.
const pathEnds = 60*time.Second + 15*time.Second

// killServer kills the signaling server.
func (f *faulty) killServer() {
	f.t.Helper()
	if err := f.server.Cmd.Process.Kill(); err != nil {
		f.t.Fatal(err)
	}
	<-f.server.Exited
	for _, p := range f.both() {
		f.waits(p, 0, "loss of signaling", func(e e2etest.Event) bool { return e.Has([]string{"event=signaling", "state=lost"}) })
	}
}

// cutToBob drops what alice sends to bob, and nothing of what bob sends.
func (f *faulty) cutToBob() {
	f.t.Helper()
	f.hosts[1].cut(allUDP + " ip saddr { 203.0.113.11, 203.0.113.31 }")
}

// ends waits until both ends of a call have ended because its path is gone. One of them may be
// notified so by the other.
func (f *faulty) ends(since time.Time, notified bool) {
	f.t.Helper()
	failed := 0
	for i, p := range f.both() {
		select {
		case <-p.Exited:
		case <-time.After(pathEnds - time.Since(since)):
			f.t.Fatalf("%s has not ended %v after the path was cut", f.hosts[i].name, time.Since(since))
		}
		switch code := p.Cmd.ProcessState.ExitCode(); code {
		case int(exit.Connection):
			failed++
		case 0:
		default:
			f.t.Errorf("%s: exit %d", f.hosts[i].name, code)
		}
	}
	if failed < 2 && !notified || failed == 0 {
		f.t.Errorf("%d ends say that the connection is gone", failed)
	}
}

// A host gets one more address while the signaling server is down: the path that works is kept, and
// when it is gone later, both ends find out.
func TestNetworkAddressAddedWithoutSignaling(t *testing.T) {
	for i, whose := range []string{"alice", "bob"} {
		t.Run(whose, func(t *testing.T) {
			f := newFaulty(t)
			mark := f.marks()
			f.killServer()
			f.hosts[i].address("add", fmt.Sprintf("203.0.113.%d/24", 31+i))
			f.waits(f.both()[i], mark[i], "change of addresses", func(e e2etest.Event) bool { return e["event"] == "addresses-changed" })
			for begin := time.Now(); time.Since(begin) < 35*time.Second; { // longer than consent lasts
				for i, p := range f.both() {
					f.flows(p, f.marks()[i])
				}
			}
			for i, p := range f.both() {
				f.without(p, mark[i], "event=state")
				f.without(p, mark[i], "event=interruption", "cause=outage") // a busy machine makes others
			}
			f.hosts[1].cut(allUDP)
			f.ends(time.Now(), false)
		})
	}
}

// A host gets another address in place of the one that it had while the signaling server is down.
func TestNetworkAddressReplacedWithoutSignaling(t *testing.T) {
	for i, whose := range []string{"alice", "bob"} {
		t.Run(whose, func(t *testing.T) {
			f := newFaulty(t)
			f.killServer()
			f.hosts[i].address("del", fmt.Sprintf("203.0.113.%d/24", 11+i))
			f.hosts[i].address("add", fmt.Sprintf("203.0.113.%d/24", 31+i))
			f.ends(time.Now(), false)
		})
	}
}

// What alice sends does not arrive any more, what bob sends does.
func TestNetworkOneWay(t *testing.T) {
	t.Run("comes back", func(t *testing.T) {
		f := newFaulty(t)
		mark := f.marks()
		f.cutToBob()
		f.state(f.bob, mark[1], "disconnected")
		f.waits(f.bob, mark[1], "a candidate of the restart", func(e e2etest.Event) bool { return e.Has([]string{"event=candidate", "side=local"}) })
		f.hosts[1].mend()
		f.state(f.bob, mark[1], "connected")
		f.gap(f.bob, mark[1], "video", "outage", 5*time.Second)
		f.gap(f.bob, mark[1], "audio", "outage", 5*time.Second)
		for i, p := range f.both() {
			f.flows(p, f.marks()[i])
		}
		f.hangUp()
	})
	t.Run("comes back without signaling", func(t *testing.T) {
		f := newFaulty(t)
		f.killServer()
		mark := f.marks()
		f.cutToBob()
		f.state(f.bob, mark[1], "disconnected")
		time.Sleep(10 * time.Second) // the outage is what is tested
		f.hosts[1].mend()
		f.state(f.bob, mark[1], "connected")
		f.gap(f.bob, mark[1], "video", "outage", 10*time.Second)
		f.gap(f.bob, mark[1], "audio", "outage", 10*time.Second)
		for i, p := range f.both() {
			f.flows(p, f.marks()[i])
		}
		f.without(f.alice, mark[0], "event=state")
	})
	t.Run("is gone", func(t *testing.T) {
		f := newFaulty(t)
		f.cutToBob()
		f.ends(time.Now(), true)
	})
	t.Run("is gone without signaling", func(t *testing.T) {
		f := newFaulty(t)
		f.killServer()
		mark := f.marks()
		f.cutToBob()
		f.ends(time.Now(), false)
		for i, p := range f.both() { // so neither sends any more
			if f.count(p, mark[i], "failed") == 0 {
				t.Errorf("%s has not given the path up", f.hosts[i].name)
			}
		}
	})
}
