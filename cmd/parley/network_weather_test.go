//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/peer/road"
)

// badRoad is a rough one between a host and the Internet.
type badRoad struct{ *process }

// rough adds a host to the Internet at the end of a rough road.
func (l *lab) rough(name, address string, weather road.Weather) (*host, *badRoad) {
	l.t.Helper()
	middle := l.hold(name+"'s road", l.wan)
	far := l.cable(middle, "out", l.wan)
	l.wan.sh("ip link set " + far + " master net")
	h := l.hold(name, l.wan)
	in := l.cable(h, "eth", middle)
	h.address("add", address)
	program, err := exec.LookPath("rough-road")
	if err != nil {
		l.t.Fatal(err)
	}
	w, err := json.Marshal(weather)
	if err != nil {
		l.t.Fatal(err)
	}
	r := &badRoad{launch(l.t, middle.command(program, in, "out", string(w)), []string{"rough-road", string(w)})}
	r.says(l.t, "open")
	return h, r
}

// close ends the road, and tells what was on it.
func (r *badRoad) close(t *testing.T) (counts traffic) {
	t.Helper()
	if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	r.ends(t, 0)
	_, last, _ := strings.Cut(r.out.String(), "open\n")
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

// TestNetworkWeather: a call to a host with bad weather comes about and stays as
// it is, what is said comes whole and in order, and is shown for what it is.
func TestNetworkWeather(t *testing.T) {
	for name, w := range map[string]road.Weather{
		"late, uneven, lost and overtaken": {Delay: 200 * time.Millisecond, Jitter: 50 * time.Millisecond, Loss: .02, Reorder: .05, Seed: 1},
		"a second late":                    {Delay: time.Second, Seed: 2},
		"each five times":                  {Delay: 5 * time.Millisecond, Duplicate: 1, Copies: 4, Seed: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &faulty{t: t, lab: newNetwork(t)}
			f.server = f.lab.signaling()
			bob, way := f.lab.rough("bob", "203.0.113.12/24", w)
			f.hosts = [2]*host{f.lab.public("alice", "203.0.113.11/24"), bob}
			said := toSay("line", 20)
			flags := []string{"--video", "test", "--timeout", "60s"}
			for _, line := range said {
				flags = append(flags, "--say", line)
			}
			f.call(flags...)
			for _, p := range f.both() {
				f.waits(p, 0, "the last line", func(e jsonEvent) bool {
					return e.has([]string{"event=text", "direction=in", "text=" + said[len(said)-1]})
				})
				f.waits(p, 0, "video", func(e jsonEvent) bool { return framesOf(e, "video") >= 30 })
			}
			f.hangUp()
			counts := way.close(t)
			t.Logf("to bob %+v, from him %+v", counts.In, counts.Out)
			for _, lost := range []int{counts.In.Lost, counts.Out.Lost} {
				if (lost > 0) != (w.Loss > 0) {
					t.Errorf("the weather is another: %+v", counts)
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
func (f *faulty) undisturbed(p *process) {
	f.t.Helper()
	var states []string
	offered := map[string]int{}
	for _, e := range f.events(p, 0) {
		switch {
		case e["event"] == "state" && e["connection"] != "closed":
			states = append(states, fmt.Sprint(e["connection"]))
		case e.has([]string{"event=candidate", "side=local", "type=host", "protocol=udp"}):
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
func (f *faulty) heard(p *process, want []string) {
	f.t.Helper()
	var got []string
	for _, e := range f.events(p, 0) {
		if e.has([]string{"event=text", "direction=in"}) {
			got = append(got, fmt.Sprint(e["text"]))
		}
	}
	if !slices.Equal(got, want) {
		f.t.Errorf("%d lines came, of %d, or in another order", len(got), len(want))
	}
}

// honest compares what both sides say of the video with what was on the road:
// each packet and frame counts once, however often it came; no more is lost than
// was, but that what has been overtaken is missed until it comes; and if
// anything was lost, something was sent again.
func (f *faulty) honest(sender, receiver *process, on road.Counts) {
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
	if lost := count(came, "lost"); lost < 0 || lost > float64(on.Lost+on.Overtook)+again {
		f.t.Errorf("%v packets count as lost of %+v", lost, on)
	}
	if again == 0 && on.Lost > 0 {
		f.t.Errorf("nothing was sent again of %+v", on)
	}
}

// lastReport is the latest of the video in a report by W3C's names.
func lastReport(events []jsonEvent, kind string) (last map[string]any) {
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

// lastTrack is what was told last of the video that came.
func lastTrack(events []jsonEvent) (last map[string]any) {
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
