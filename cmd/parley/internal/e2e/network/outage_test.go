//go:build linux

package network

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// faulty is a call between two hosts of a lab, in which something goes wrong.
type faulty struct {
	t          *testing.T
	lab        *lab
	server     *e2etest.Process
	hosts      [2]*host // alice's, who calls and makes the offers, and bob's
	alice, bob *e2etest.Process
}

func newFaulty(t *testing.T) *faulty {
	t.Helper()
	t.Parallel()
	f := &faulty{t: t, lab: newNetwork(t)}
	f.server = f.lab.signaling() // without a relay, which over TCP would get the call through
	f.hosts = [2]*host{f.lab.public("alice", "203.0.113.11/24"), f.lab.public("bob", "203.0.113.12/24")}
	f.call("--video", "test", "--audio", "test")
	for _, p := range f.both() {
		f.flows(p, 0)
	}
	return f
}

// call makes the call, with flags for both.
func (f *faulty) call(flags ...string) {
	f.t.Helper()
	flags = append([]string{"--server", labServer, "--output", "ndjson", "--stats-interval", "500ms"}, flags...)
	f.bob = f.hosts[1].parley(f.t, append([]string{"answer", "--as", "bob", "--once"}, flags...)...)
	f.bob.Says(f.t, `"event":"login"`)
	f.alice = f.hosts[0].parley(f.t, append([]string{"call", "bob", "--as", "alice"}, flags...)...)
}

func (f *faulty) both() []*e2etest.Process { return []*e2etest.Process{f.alice, f.bob} }

// events are what a process has reported since mark.
func (f *faulty) events(p *e2etest.Process, mark int) []e2etest.Event {
	f.t.Helper()
	events, err := e2etest.ReadEvents(p.Out.Complete()[mark:])
	if err != nil {
		f.t.Fatal(err)
	}
	return events
}

// waits until an event fits, of those since mark.
func (f *faulty) waits(p *e2etest.Process, mark int, what string, fits func(e2etest.Event) bool) e2etest.Event {
	f.t.Helper()
	timeout := time.After(2 * e2etest.Patience)
	for {
		more := p.Out.Change()
		for _, e := range f.events(p, mark) {
			if fits(e) {
				return e
			}
		}
		select {
		case <-more:
		case <-p.Exited:
			f.t.Fatalf("it ended without %s", what)
		case <-timeout:
			f.t.Fatalf("no %s", what)
		}
	}
}

func (f *faulty) state(p *e2etest.Process, mark int, state string) e2etest.Event {
	f.t.Helper()
	return f.waits(p, mark, state, func(e e2etest.Event) bool { return e.Has([]string{"event=state", "connection=" + state}) })
}

// flows waits until video and audio have come since mark.
func (f *faulty) flows(p *e2etest.Process, mark int) {
	f.t.Helper()
	for _, kind := range []string{"audio", "video"} {
		least := -1.0
		f.waits(p, mark, kind+" coming", func(e e2etest.Event) bool {
			n := framesOf(e, kind)
			if least < 0 && n >= 0 {
				least = n
			}
			return n >= least+5 && least >= 0
		})
	}
}

// framesOf is how many frames have come, by a stats event; -1 if e is none.
func framesOf(e e2etest.Event, kind string) float64 {
	tracks, _ := e["tracks"].([]any)
	for _, t := range tracks {
		track, _ := t.(map[string]any)
		if track["kind"] == kind && track["direction"] == "in" {
			frames, _ := track["frames"].(float64)
			return frames
		}
	}
	return -1
}

// gap waits for the longest gap since mark to be reported.
func (f *faulty) gap(p *e2etest.Process, mark int, kind, cause string, least time.Duration) e2etest.Event {
	f.t.Helper()
	return f.waits(p, mark, fmt.Sprintf("gap in %s of %v by %s", kind, least, cause), func(e e2etest.Event) bool {
		ms, _ := e["ms"].(float64)
		return e.Has([]string{"event=interruption", "kind=" + kind, "cause=" + cause}) && ms >= float64(least.Milliseconds())
	})
}

// marks are the places where both outputs end now.
func (f *faulty) marks() (m [2]int) {
	for i, p := range f.both() {
		m[i] = len(p.Out.Complete())
	}
	return m
}

// count is how often the connection came into a state since mark.
func (f *faulty) count(p *e2etest.Process, mark int, state string) (n int) {
	f.t.Helper()
	for _, e := range f.events(p, mark) {
		if e.Has([]string{"event=state", "connection=" + state}) {
			n++
		}
	}
	return n
}

// without counts what should not have happened since mark.
func (f *faulty) without(p *e2etest.Process, mark int, want ...string) {
	f.t.Helper()
	for _, e := range f.events(p, mark) {
		if e.Has(want) {
			f.t.Errorf("there is %v", e)
		}
	}
}

// hangUp ends the call, which both sides should take for one.
func (f *faulty) hangUp() {
	f.t.Helper()
	e2etest.Interrupt(f.t, f.alice)
	f.alice.Ends(f.t, 130)
	f.bob.Ends(f.t, 0)
}

// cut loads nftables rules that drop what matches, until mend.
func (h *host) cut(matches ...string) {
	h.t.Helper()
	rules := ""
	for _, m := range matches {
		rules += m + " drop\n"
	}
	h.nft("table inet cut {\nchain in { type filter hook input priority -300;\n" + rules + "}\n" +
		"chain forward { type filter hook forward priority -300;\n" + rules + "}\n" +
		"chain out { type filter hook output priority -300;\n" + rules + "}\n}")
}

func (h *host) mend() {
	h.t.Helper()
	h.nft("delete table inet cut")
}

// outage cuts bob off for d, and returns how long that really took at most.
func (f *faulty) outage(d time.Duration, matches ...string) time.Duration {
	f.t.Helper()
	begin := time.Now()
	f.hosts[1].cut(matches...)
	time.Sleep(d - time.Since(begin)) // the outage is what is tested, nothing is waited for
	f.hosts[1].mend()
	return time.Since(begin)
}

const allUDP = "meta l4proto udp"

func TestNetworkOutageOf3s(t *testing.T) {
	f := newFaulty(t)
	mark := f.marks()
	for try := 1; ; try++ {
		mark = f.marks()
		if took := f.outage(3*time.Second, allUDP); took < 4*time.Second || try == 5 {
			break
		}
	}
	for i, p := range f.both() {
		for _, kind := range []string{"audio", "video"} {
			f.gap(p, mark[i], kind, "silence", 2500*time.Millisecond)
		}
		f.flows(p, mark[i])
		f.without(p, mark[i], "event=state")
		f.without(p, mark[i], "event=pair")
	}
	f.hangUp()
}

func TestNetworkOutageOf15s(t *testing.T) {
	f := newFaulty(t)
	mark := f.marks()
	f.outage(15*time.Second, allUDP)
	for i, p := range f.both() {
		f.state(p, mark[i], "disconnected")
		f.state(p, mark[i], "connected")
		f.gap(p, mark[i], "video", "outage", 14*time.Second)
		if g := f.gap(p, mark[i], "audio", "outage", 14*time.Second); g["lost"].(float64) < 100 {
			t.Errorf("15 s of audio are %v lost packets", g["lost"])
		}
		f.without(p, mark[i], "event=state", "connection=failed")
	}
	f.hangUp()
}

// Without media the gap is that of the path.
func TestNetworkOutageWithoutMedia(t *testing.T) {
	t.Parallel()
	f := &faulty{t: t, lab: newNetwork(t)}
	f.server = f.lab.signaling()
	f.hosts = [2]*host{f.lab.public("alice", "203.0.113.11/24"), f.lab.public("bob", "203.0.113.12/24")}
	f.call("--say", "before")
	for _, p := range f.both() {
		p.Says(t, `"direction":"in","text":"before"`)
	}
	mark := f.marks()
	took := f.outage(12*time.Second, allUDP)
	for i, p := range f.both() {
		f.state(p, mark[i], "disconnected")
		g := f.gap(p, mark[i], "data", "outage", 10*time.Second) // consent is asked for every 1.7 s
		if _, ok := g["lost"]; ok {
			t.Errorf("packets are counted that nobody could: %v", g)
		}
		if ms := g["ms"].(float64); ms > float64((took + time.Minute).Milliseconds()) {
			t.Errorf("%v ms of %v", ms, took)
		}
	}
	f.hangUp()
}

// Bob's network is gone altogether, signaling as well.
func TestNetworkOutageOf45s(t *testing.T) {
	for what, cut := range map[string]string{"of the path": allUDP, "of everything": "meta l4proto { tcp, udp }"} {
		t.Run(what, func(t *testing.T) {
			f := newFaulty(t)
			mark := f.marks()
			f.outage(45*time.Second, cut)
			for i, p := range f.both() {
				f.state(p, mark[i], "disconnected")
				f.waits(p, mark[i], "a candidate of the restart", func(e e2etest.Event) bool { return e.Has([]string{"event=candidate", "side=local"}) })
				f.state(p, mark[i], "connected")
				f.gap(p, mark[i], "video", "outage", 44*time.Second)
				f.gap(p, mark[i], "audio", "outage", 44*time.Second)
			}
			if f.count(f.alice, mark[0], "failed")+f.count(f.bob, mark[1], "failed") == 0 { // the first to find out restarts for both
				t.Error("the connection failed at neither side")
			}
			f.hangUp()
		})
	}
}

// A host gets another address and loses the one that it had.
func TestNetworkAddressChange(t *testing.T) {
	for i, whose := range []string{"alice", "bob"} {
		t.Run(whose, func(t *testing.T) {
			f := newFaulty(t)
			mark := f.marks()
			f.hosts[i].address("del", fmt.Sprintf("203.0.113.%d/24", 11+i))
			f.hosts[i].address("add", fmt.Sprintf("203.0.113.%d/24", 31+i))
			f.waits(f.both()[i], mark[i], "change of addresses", func(e e2etest.Event) bool { return e["event"] == "addresses-changed" })
			f.waits(f.both()[i], mark[i], "signaling to be connected from the new address", func(e e2etest.Event) bool {
				return e.Has([]string{"event=signaling", "state=lost"}) && strings.Contains(fmt.Sprint(e["error"]), "local address of the connection is gone")
			})
			for i, p := range f.both() {
				f.waits(p, mark[i], "new pair", func(e e2etest.Event) bool { return e["event"] == "pair" })
				f.waits(p, mark[i], "gap", func(e e2etest.Event) bool { return e["event"] == "interruption" && e["kind"] == "video" })
				f.flows(p, mark[i])
				f.without(p, mark[i], "event=state", "connection=failed")
			}
			f.hangUp()
		})
	}
}

// The signaling server cannot be reached for a while.
func TestNetworkSignalingLost(t *testing.T) {
	f := newFaulty(t)
	mark := f.marks()
	f.hosts[0].cut("tcp dport 9090", "tcp sport 9090")
	lost := func(e e2etest.Event) bool { return e.Has([]string{"event=signaling", "state=lost"}) }
	f.waits(f.alice, mark[0], "loss of signaling", lost)
	during := f.marks()
	for i, p := range f.both() {
		f.flows(p, during[i])
		f.without(p, mark[i], "event=state")
	}
	f.hosts[0].mend()
	f.waits(f.alice, mark[0], "signaling", func(e e2etest.Event) bool { return e.Has([]string{"event=signaling", "state=connected"}) })
	f.hangUp()
}

// The signaling server dies and comes back, without knowing of the call; the
// call can find another path afterwards.
func TestNetworkSignalingRestarted(t *testing.T) {
	f := newFaulty(t)
	mark := f.marks()
	if err := f.server.Cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-f.server.Exited
	during := f.marks()
	for i, p := range f.both() {
		f.waits(p, mark[i], "loss of signaling", func(e e2etest.Event) bool { return e.Has([]string{"event=signaling", "state=lost"}) })
		f.flows(p, during[i])
	}
	f.lab.signaling()
	for i, p := range f.both() {
		f.waits(p, mark[i], "signaling", func(e e2etest.Event) bool {
			return e.Has([]string{"event=signaling", "state=connected", "resumed=false"})
		})
		f.without(p, mark[i], "event=state")
	}
	mark = f.marks()
	f.hosts[1].address("del", "203.0.113.12/24")
	f.hosts[1].address("add", "203.0.113.32/24")
	for i, p := range f.both() {
		f.waits(p, mark[i], "new pair", func(e e2etest.Event) bool { return e["event"] == "pair" })
		f.flows(p, mark[i])
	}
	f.hangUp()
}
