//go:build linux

package network

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/peer/netem"
)

// bridge is a netem-bridge between a host and the Internet.
type bridge struct{ *e2etest.Process }

// emulated adds a host to the Internet behind an emulated link.
func (l *lab) emulated(name, address string, c netem.Config) (*host, *bridge) {
	l.t.Helper()
	middle := l.hold(name+"'s bridge", l.wan)
	far := l.cable(middle, "out", l.wan)
	l.wan.sh("ip link set " + far + " master net")
	h := l.hold(name, l.wan)
	in := l.cable(h, "eth", middle)
	h.address("add", address)
	program, err := exec.LookPath("netem-bridge")
	if err != nil {
		l.t.Fatal(err)
	}
	config, err := json.Marshal(c)
	if err != nil {
		l.t.Fatal(err)
	}
	b := &bridge{e2etest.Launch(l.t, middle.command(program, in, "out", string(config)), []string{"netem-bridge", string(config)})}
	b.Says(l.t, "open")
	return h, b
}

// close ends the bridge and returns its counts.
func (b *bridge) close(t *testing.T) (counts bridgeCounts) {
	t.Helper()
	if err := b.Cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	b.Ends(t, 0)
	_, last, _ := strings.Cut(b.Out.String(), "open\n")
	if err := json.Unmarshal([]byte(last), &counts); err != nil {
		t.Fatalf("%v: %s", err, last)
	}
	return counts
}

// toSay is n lines, of a packet each.
func toSay(who string, n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("%s %d %s", who, i, strings.Repeat("-", 900)))
	}
	return all
}

// TestNetworkNetem: a call over an emulated link connects at the first try and stays connected, its
// text arrives complete and in order, and its statistics agree with the counts of the link.
func TestNetworkNetem(t *testing.T) {
	for name, c := range map[string]netem.Config{
		"delay, jitter, loss and reordering": {Delay: 200 * time.Millisecond, Jitter: 50 * time.Millisecond, Loss: .02, Reorder: .05, Seed: 1},
		"delay of a second":                  {Delay: time.Second, Seed: 2},
		"five copies of each packet":         {Delay: 5 * time.Millisecond, Duplicate: 1, Copies: 4, Seed: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &faulty{t: t, lab: newNetwork(t)}
			f.server = f.lab.signaling()
			bob, bridge := f.lab.emulated("bob", "203.0.113.12/24", c)
			f.hosts = [2]*host{f.lab.public("alice", "203.0.113.11/24"), bob}
			said := toSay("line", 20)
			flags := []string{"--video", "test", "--timeout", "60s"}
			for _, line := range said {
				flags = append(flags, "--say", line)
			}
			f.call(flags...)
			for _, p := range f.both() {
				f.waits(p, 0, "the last line", func(e e2etest.Event) bool {
					return e.Has([]string{"event=text", "direction=in", "text=" + said[len(said)-1]})
				})
				f.waits(p, 0, "video", func(e e2etest.Event) bool { return framesOf(e, "video") >= 30 })
			}
			f.hangUp()
			counts := bridge.close(t)
			t.Logf("to bob %+v, from bob %+v", counts.In, counts.Out)
			for _, dropped := range []int{counts.In.Dropped, counts.Out.Dropped} {
				if (dropped > 0) != (c.Loss > 0) {
					t.Errorf("got %+v with a loss of %v", counts, c.Loss)
				}
			}
			for _, p := range f.both() {
				f.undisturbed(p)
				f.heard(p, said)
			}
			f.honest(f.alice, f.bob, counts.In)
			f.honest(f.bob, f.alice, counts.Out)
		})
	}
}

// undisturbed: the connection came up once, at the first try.
func (f *faulty) undisturbed(p *e2etest.Process) {
	f.t.Helper()
	var states []string
	offered := map[string]int{}
	for _, e := range f.events(p, 0) {
		switch {
		case e["event"] == "state" && e["connection"] != "closed":
			states = append(states, fmt.Sprint(e["connection"]))
		case e.Has([]string{"event=candidate", "side=local", "type=host", "protocol=udp"}):
			host, _, _ := strings.Cut(fmt.Sprint(e["address"]), ":")
			if offered[host]++; offered[host] > 1 {
				f.t.Errorf("candidates were gathered again: %v", e)
			}
		}
	}
	if want := []string{"connecting", "connected"}; !slices.Equal(states, want) {
		f.t.Errorf("states %v, want %v", states, want)
	}
}

// heard: every line came, once, in order.
func (f *faulty) heard(p *e2etest.Process, want []string) {
	f.t.Helper()
	var got []string
	for _, e := range f.events(p, 0) {
		if e.Has([]string{"event=text", "direction=in"}) {
			got = append(got, fmt.Sprint(e["text"]))
		}
	}
	if !slices.Equal(got, want) {
		f.t.Errorf("%d lines came, of %d, or in another order", len(got), len(want))
	}
}

// honest compares what both sides say of the video with what was on the link:
// each packet and frame counts once, however often it came; no more is lost than
// was, but that what has been overtaken is missed until it comes; and if
// anything was lost, something was sent again.
func (f *faulty) honest(sender, receiver *e2etest.Process, on netem.Counts) {
	f.t.Helper()
	sent, came := lastReport(f.events(sender, 0), "outbound-rtp"), lastTrack(f.events(receiver, 0))
	count := func(from map[string]any, key string) float64 {
		n, ok := from[key].(float64)
		if !ok {
			f.t.Fatalf("no %s in %v", key, from)
		}
		return n
	}
	packets, again := count(sent, "packetsSent"), count(sent, "retransmittedPacketsSent")
	f.t.Logf("%v packets and %v again, %v frames; %v came, %v lost, %v frames", packets-again, again, count(sent, "framesSent"),
		count(came, "packets"), count(came, "lost"), count(came, "frames"))
	const last = 20 // packets, and few frames, may leave after the sender has counted
	if once := packets - again; count(came, "packets") > once+last {
		f.t.Errorf("%v packets came of %v", came["packets"], once)
	}
	if count(came, "frames") > count(sent, "framesSent")+last/4 {
		f.t.Errorf("%v frames came of %v", came["frames"], sent["framesSent"])
	}
	// What a busy machine drops by itself is asked for again, too.
	if lost := count(came, "lost"); lost < 0 || lost > float64(on.Dropped+on.Reordered)+again {
		f.t.Errorf("%v packets count as lost of %+v", lost, on)
	}
	if again == 0 && on.Dropped > 0 {
		f.t.Errorf("nothing was sent again of %+v", on)
	}
}

// lastReport is the latest of the video in a report by W3C's names.
func lastReport(events []e2etest.Event, kind string) (last map[string]any) {
	for _, e := range events {
		objects, _ := e["report"].([]any)
		for _, o := range objects {
			if o, _ := o.(map[string]any); o["type"] == kind && o["kind"] == "video" {
				last = o
			}
		}
	}
	return last
}

// lastTrack is what was reported last of the video that came.
func lastTrack(events []e2etest.Event) (last map[string]any) {
	for _, e := range events {
		tracks, _ := e["tracks"].([]any)
		for _, t := range tracks {
			if t, _ := t.(map[string]any); t["kind"] == "video" && t["direction"] == "in" {
				last = t
			}
		}
	}
	return last
}
