package server

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// TestBucket holds a bucket against a plain token bucket, over random pauses.
func TestBucket(t *testing.T) {
	for _, r := range []Rate{{PerSecond: 5, Burst: 10}, {PerSecond: 20, Burst: 100}, {PerSecond: 1000, Burst: 1}, {PerSecond: 0.1, Burst: 3}} {
		resolved := r.resolve(1, 1)
		random := rand.New(rand.NewPCG(1, 2))
		var b bucket
		now, tokens := int64(time.Hour), float64(r.Burst)
		for i := range 10000 {
			pause := int64(random.ExpFloat64() * float64(time.Second) / r.PerSecond)
			now += pause
			tokens = min(tokens+float64(pause)/float64(resolved.token), float64(r.Burst))
			if frac := tokens - float64(int(tokens)); frac > 1-1e-6 { // at the edge both are right
				now, tokens = now+resolved.token/2, min(tokens+0.5, float64(r.Burst))
			}
			got, want := b.take(now, resolved), tokens >= 1
			if got != want {
				t.Fatalf("%+v, step %d: took %v with %f tokens", r, i, got, tokens)
			}
			if want {
				tokens--
			}
		}
	}
}

func TestRateDefaults(t *testing.T) {
	for r, want := range map[Rate]rate{
		{}:                         {int64(200 * time.Millisecond), int64(2 * time.Second)},
		{PerSecond: -1}:            {},
		{PerSecond: -1, Burst: 5}:  {},
		{PerSecond: 10}:            {int64(100 * time.Millisecond), int64(2 * time.Second)},
		{PerSecond: 0.01}:          {int64(100 * time.Second), int64(100 * time.Second)},
		{PerSecond: 10, Burst: 50}: {int64(100 * time.Millisecond), int64(5 * time.Second)},
		{Burst: 50}:                {int64(200 * time.Millisecond), int64(10 * time.Second)},
	} {
		if got := r.resolve(5, 10); got != want {
			t.Errorf("%+v stands for %v, want %v", r, got, want)
		}
	}
}

// TestPending lets connections come, sign in and go at random, against a plain list.
func TestPending(t *testing.T) {
	l := Limits{Pending: 20, LoginWait: time.Minute}.resolve()
	g := newAdmission(&l)
	random := rand.New(rand.NewPCG(3, 4))
	var waiting []*conn
	drop := func(c *conn) {
		for i, w := range waiting {
			if w == c {
				waiting = append(waiting[:i], waiting[i+1:]...)
				return
			}
		}
		t.Fatal("somebody was put out who was not there")
	}
	for now := int64(0); now < int64(time.Hour); now += random.Int64N(int64(4 * time.Second)) {
		for _, out := range g.overdue(now) {
			if now-out.since < int64(time.Minute) || out != waiting[0] {
				t.Fatal("put out too early, or not the oldest")
			}
			drop(out)
		}
		if len(waiting) > 0 && now-waiting[0].since >= int64(time.Minute) {
			t.Fatal("not put out in time")
		}
		if random.IntN(3) > 0 {
			c := &conn{slot: -1}
			if out := g.await(c, now); out != nil {
				if len(waiting) != 20 || out != waiting[0] {
					t.Fatal("not the oldest of twenty made room")
				}
				drop(out)
			}
			waiting = append(waiting, c)
		} else if n := len(waiting); n > 0 {
			c := waiting[random.IntN(n)]
			g.loggedIn(c)
			g.loggedIn(c) // twice does no harm
			drop(c)
		}
		if _, pending := g.counts(); pending != len(waiting) {
			t.Fatalf("%d wait, admission counts %d", len(waiting), pending)
		}
	}
}

// TestThrottle guesses tokens: ten in half an hour from one /64, and no more.
func TestThrottle(t *testing.T) {
	l := Limits{}.resolve()
	g := newAdmission(&l)
	now := int64(time.Hour)
	guess := func(address string) bool {
		a := netip.MustParseAddr(address)
		if g.throttled(a, now) {
			return false
		}
		g.loginFailed(a, now)
		return true
	}
	for i := range 10 {
		if !guess(fmt.Sprintf("2001:db8::%x", i)) {
			t.Fatalf("guess %d was refused", i)
		}
	}
	if guess("2001:db8::ffff") {
		t.Error("the eleventh of a /64 was not refused")
	}
	if !guess("2001:db8:0:1::1") || !guess("192.0.2.1") {
		t.Error("another network was refused")
	}
	now += int64(3*time.Minute) - 1e9
	if guess("2001:db8::1") {
		t.Error("a guess came back before its time")
	}
	now += 2e9
	if !guess("2001:db8::1") || guess("2001:db8::1") {
		t.Error("after three minutes there is one guess, not more")
	}
	now += int64(time.Hour)
	for i := range 10 {
		if !guess("2001:db8::1") {
			t.Fatalf("after an hour guess %d was refused", i)
		}
	}
}

// TestThrottleIsBounded lets more addresses fail than are remembered.
func TestThrottleIsBounded(t *testing.T) {
	l := Limits{}.resolve()
	g := newAdmission(&l)
	now := int64(time.Hour)
	for i := range maxBuckets + 5000 {
		g.loginFailed(netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}), now)
	}
	if n := len(g.failures.buckets); n != maxBuckets {
		t.Errorf("%d addresses are remembered", n)
	}
	now += int64(time.Hour) // the next finds room among those that are long forgiven
	g.loginFailed(netip.MustParseAddr("203.0.113.1"), now)
	if n := len(g.failures.buckets); n > maxBuckets-60 {
		t.Errorf("%d addresses are remembered for what they did an hour ago", n)
	}
}

func TestClientPrefix(t *testing.T) {
	for a, want := range map[string]string{
		"192.0.2.1":         "192.0.2.1",
		"::ffff:192.0.2.1":  "192.0.2.1",
		"2001:db8:1:2::3":   "2001:db8:1:2::",
		"[2001:db8::1]:80":  "2001:db8::",
		"fe80::1%eth0":      "fe80::",
		"192.0.2.1:1":       "192.0.2.1",
		"[fe80::1%eth0]:80": "fe80::",
	} {
		if got := clientPrefix(parseRemote(a)).String(); got != want {
			t.Errorf("%s counts as %s, want %s", a, got, want)
		}
	}
	if clientPrefix(parseRemote("@")).IsValid() {
		t.Error("nonsense has a client prefix")
	}
}
