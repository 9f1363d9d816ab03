package road

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestParse(t *testing.T) {
	got, err := Parse("loss=5% delay=40ms jitter=10ms reorder=1% duplicate=0.5% rate=500kbit outage=3s@10s outage=1s@2s seed=7")
	want := Weather{Loss: .05, Delay: 40 * time.Millisecond, Jitter: 10 * time.Millisecond, Reorder: .01, Duplicate: .005, Rate: 500_000, Seed: 7,
		Outages: []Outage{{2 * time.Second, time.Second}, {10 * time.Second, 3 * time.Second}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	for text, say := range map[string]string{
		"": "says nothing", "loss": "no NAME=VALUE", "loss=5": "0% to 100%", "loss=101%": "0% to 100%", "loss=NaN%": "0% to 100%", "loss=-1%": "0% to 100%",
		"delay=40": "0s to 10s", "delay=11s": "0s to 10s", "jitter=-1ms": "0s to 10s", "rate=500": "8kbit to 1000mbit", "rate=1kbit": "8kbit", "rate=2000mbit": "8kbit",
		"outage=3s": "how long and when", "outage=0s@1s": "how long and when", "seed=-1": "whole number", "seed=x": "whole number", "lose=5%": `no "lose"; there are delay`,
		"loss=1% loss=2%": "twice", "reorder=1%": "add delay",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%q: %v, want %q", text, err, say)
		}
	}
}

// FuzzParse: whatever is read is within bounds.
func FuzzParse(f *testing.F) {
	f.Add("loss=5% delay=40ms outage=3s@10s rate=1mbit")
	f.Fuzz(func(t *testing.T, text string) {
		w, err := Parse(text)
		if err == nil && (w.Loss < 0 || w.Loss > 1 || w.Delay < 0 || w.Delay > maxDelay || w.Rate < 0 || w.Rate > maxRate || len(w.Outages) > maxOutages) {
			t.Errorf("%q: %+v", text, w)
		}
	})
}

// TestRate: what is more than the link carries waits, and what would wait too long is lost.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var came []time.Duration
		began := time.Now()
		l := NewLink(Weather{Rate: 80_000}, func([]byte) { came = append(came, time.Since(began)) })
		for range 20 { // 1000 bytes take 100 ms each
			l.Send(make([]byte, 1000))
		}
		time.Sleep(time.Hour)
		l.Close()
		want := []time.Duration{100, 200, 300, 400} // in ms: the last has waited for 300 ms
		for i := range want {
			want[i] *= time.Millisecond
		}
		if !slices.Equal(came, want) || l.Counts().Lost != 16 {
			t.Errorf("came after %v, %+v", came, l.Counts())
		}
	})
}

// TestOutage: nothing gets through in it, everything before and after; another weather counts anew.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var came []byte
		w := Weather{Outages: []Outage{{At: 2 * time.Second, For: 3 * time.Second}}}
		l := NewLink(w, func(b []byte) { came = append(came, b[0]) })
		for i := range byte(8) {
			if i == 7 {
				l.Become(w)
			}
			l.Send([]byte{i})
			time.Sleep(time.Second)
		}
		l.Close()
		if want := []byte{0, 1, 5, 6, 7}; !slices.Equal(came, want) {
			t.Errorf("came %v, want %v", came, want)
		}
	})
}

// TestKindsApart: the fates of one kind of packets do not depend on how many of another there are.
func TestKindsApart(t *testing.T) {
	fates := func(checks int) (got []int) {
		synctest.Test(t, func(*testing.T) {
			l := NewLink(Weather{Loss: .3, Seed: 7}, nil)
			stun, sound := []byte{0, 1}, []byte{0x80, 111}
			for i := range 200 {
				for range checks {
					l.Carry(Kind(stun), stun, func([]byte) {})
				}
				l.Carry(Kind(sound), sound, func([]byte) { got = append(got, i) })
			}
			time.Sleep(time.Second)
			l.Close()
		})
		return got
	}
	a, b := fates(0), fates(3)
	if !slices.Equal(a, b) || len(a) < 100 || len(a) > 180 {
		t.Errorf("%d and %d came: %v, %v", len(a), len(b), a, b)
	}
}

func TestKind(t *testing.T) {
	kinds := map[uint16]bool{}
	for _, p := range [][]byte{{0, 1}, {22, 254}, {64, 0}, {0x80, 111}, {0x80, 96}, {0x80, 200}, {}} {
		kinds[Kind(p)] = true
	}
	if len(kinds) != 7 || Kind([]byte{0x80, 96}) != Kind([]byte{0x90, 96 | 0x80}) || Kind([]byte{0x80, 200}) != Kind([]byte{0x81, 206}) {
		t.Errorf("kinds are %v", kinds)
	}
}
