package netem

import (
	"encoding/binary"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestImports checks that the package imports no other one of this module.
func TestImports(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("got %d files, %v", len(files), err)
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			if strings.HasPrefix(i.Path.Value, `"parley/`) {
				t.Errorf("%s imports %s", file, i.Path.Value)
			}
		}
	}
}

// arrival is a delivered packet.
type arrival struct {
	number uint64
	delay  time.Duration
}

// sendAll sends n packets at an interval and returns those that were delivered.
func sendAll(t *testing.T, c Config, n int, interval time.Duration) (arrivals []arrival, counts Counts) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		sent := make([]time.Time, n)
		l := NewLink(c, func(b []byte) {
			number := binary.BigEndian.Uint64(b)
			arrivals = append(arrivals, arrival{number, time.Since(sent[number])})
		})
		defer l.Close()
		packet := make([]byte, 8)
		for i := range n {
			sent[i] = time.Now()
			binary.BigEndian.PutUint64(packet, uint64(i))
			l.Send(packet)
			time.Sleep(interval)
		}
		time.Sleep(time.Hour) // of synctest's clock
		counts = l.Counts()
	})
	return arrivals, counts
}

func TestZeroConfigDeliversAtOnce(t *testing.T) {
	arrivals, counts := sendAll(t, Config{}, 1000, 0)
	if counts != (Counts{Sent: 1000, Delivered: 1000}) {
		t.Errorf("got %+v", counts)
	}
	for i, a := range arrivals {
		if want := (arrival{uint64(i), 0}); a != want {
			t.Fatalf("packet %d: got %+v, want %+v", i, a, want)
		}
	}
}

func TestDelayKeepsOrder(t *testing.T) {
	arrivals, _ := sendAll(t, Config{Delay: time.Second}, 500, time.Millisecond)
	for i, a := range arrivals {
		if want := (arrival{uint64(i), time.Second}); a != want {
			t.Fatalf("packet %d: got %+v, want %+v", i, a, want)
		}
	}
}

func TestProbabilities(t *testing.T) {
	const n = 10000
	c := Config{Delay: 200 * time.Millisecond, Jitter: 50 * time.Millisecond, Loss: .02, Reorder: .05, Duplicate: .1, Copies: 3, Seed: 7}
	arrivals, counts := sendAll(t, c, n, time.Millisecond)
	checkShare := func(what string, got int, share float64) {
		t.Helper()
		if want := share * n; float64(got) < .7*want || float64(got) > 1.3*want {
			t.Errorf("%s: got %d, want about %.0f", what, got, want)
		}
	}
	checkShare("dropped", counts.Dropped, c.Loss)
	checkShare("reordered", counts.Reordered, c.Reorder*(1-c.Loss))
	checkShare("duplicated", counts.Duplicated, c.Duplicate*3*(1-c.Loss))
	if counts.Sent != n || counts.Delivered != n-counts.Dropped+counts.Duplicated || len(arrivals) != counts.Delivered {
		t.Errorf("got %d arrivals, %+v", len(arrivals), counts)
	}
	immediate, early, late := 0, 0, 0
	for _, a := range arrivals {
		switch {
		case a.delay == 0:
			immediate++
		case a.delay < c.Delay-c.Jitter || a.delay > c.Delay+c.Jitter:
			t.Fatalf("got %+v", a)
		case a.delay < c.Delay-c.Jitter/2:
			early++
		case a.delay > c.Delay+c.Jitter/2:
			late++
		}
	}
	if immediate == 0 || early < n/10 || late < n/10 {
		t.Errorf("got %d immediate, %d early, %d late", immediate, early, late)
	}
	again, _ := sendAll(t, c, n, time.Millisecond)
	if !slices.Equal(arrivals, again) {
		t.Error("the same seed gave other decisions")
	}
	c.Seed++
	if other, _ := sendAll(t, c, n, time.Millisecond); slices.Equal(arrivals, other) {
		t.Error("another seed gave the same decisions")
	}
}

func TestRateQueuesAndDrops(t *testing.T) {
	for queue, delivered := range map[time.Duration]int{0: 4, 100 * time.Millisecond: 2, 50 * time.Millisecond: 1} {
		synctest.Test(t, func(t *testing.T) {
			var got, want []time.Duration
			start := time.Now()
			l := NewLink(Config{Rate: 80_000, Queue: queue}, func([]byte) { got = append(got, time.Since(start)) })
			for range 20 { // 1000 bytes take 100 ms each
				l.Send(make([]byte, 1000))
			}
			time.Sleep(time.Hour)
			l.Close()
			var waited time.Duration
			for i := range delivered {
				want = append(want, time.Duration(i+1)*100*time.Millisecond)
				waited += time.Duration(i) * 100 * time.Millisecond
			}
			if counts := l.Counts(); !slices.Equal(got, want) || counts.Dropped != 20-delivered || counts.QueueTime != waited {
				t.Errorf("queue %v: got %v, %+v, want %v", queue, got, counts, want)
			}
		})
	}
}

// TestOutage checks that an outage drops everything, and that SetConfig counts its start anew.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []byte
		c := Config{Outages: []Outage{{Start: 2 * time.Second, Duration: 3 * time.Second}}}
		l := NewLink(c, func(b []byte) { got = append(got, b[0]) })
		for i := range byte(8) {
			if i == 7 {
				l.SetConfig(c)
			}
			l.Send([]byte{i})
			time.Sleep(time.Second)
		}
		l.Close()
		if want := []byte{0, 1, 5, 6, 7}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// TestKindsAreIndependent checks that the number of STUN packets does not change which RTP packets
// are lost.
func TestKindsAreIndependent(t *testing.T) {
	run := func(checks int) (delivered []int) {
		synctest.Test(t, func(*testing.T) {
			l := NewLink(Config{Loss: .3, Seed: 7}, nil)
			stun, rtp := []byte{0, 1}, []byte{0x80, 111}
			for i := range 200 {
				for range checks {
					l.send(kindOf(stun), stun, func([]byte) {})
				}
				l.send(kindOf(rtp), rtp, func([]byte) { delivered = append(delivered, i) })
			}
			time.Sleep(time.Second)
			l.Close()
		})
		return delivered
	}
	without, with := run(0), run(3)
	if !slices.Equal(without, with) || len(without) < 100 || len(without) > 180 {
		t.Errorf("got %d and %d delivered: %v, %v", len(without), len(with), without, with)
	}
}

func TestKindOf(t *testing.T) {
	for _, c := range []struct {
		packet []byte
		want   packetKind
	}{
		{[]byte{0, 1}, kindSTUN},
		{[]byte{22, 254}, kindDTLS},
		{[]byte{64, 0}, kindTURNChannel},
		{[]byte{0x80, 111}, 111},
		{[]byte{0x80, 96}, 96},
		{[]byte{0x90, 96 | 0x80}, 96},
		{[]byte{0x80, 200}, kindRTCP},
		{[]byte{0x81, 206}, kindRTCP},
		{nil, kindOther},
	} {
		if got := kindOf(c.packet); got != c.want {
			t.Errorf("%v: got %#x, want %#x", c.packet, got, c.want)
		}
	}
}
