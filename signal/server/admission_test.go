package server

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"parley/signal/internal/ratelimit"
)

func TestRateDefaults(t *testing.T) {
	for r, want := range map[Rate]ratelimit.Rate{
		{}:                         ratelimit.New(5, 10),
		{PerSecond: -1}:            {},
		{PerSecond: -1, Burst: 5}:  {},
		{PerSecond: 10}:            ratelimit.New(10, 20),
		{PerSecond: 0.01}:          ratelimit.New(0.01, 1),
		{PerSecond: 10, Burst: 50}: ratelimit.New(10, 50),
		{Burst: 50}:                ratelimit.New(5, 50),
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
