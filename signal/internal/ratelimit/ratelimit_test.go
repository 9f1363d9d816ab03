package ratelimit

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// TestBucket compares a bucket with a plain token bucket, over random pauses.
func TestBucket(t *testing.T) {
	for _, test := range []struct {
		perSecond float64
		burst     int
	}{{5, 10}, {20, 100}, {1000, 1}, {0.1, 3}} {
		r, burst := New(test.perSecond, test.burst), float64(test.burst)
		random := rand.New(rand.NewPCG(1, 2))
		var b Bucket
		now, tokens := int64(time.Hour), burst
		for i := range 10000 {
			pause := int64(random.ExpFloat64() * float64(time.Second) / test.perSecond)
			now += pause
			tokens = min(tokens+float64(pause)/float64(r.token), burst)
			if frac := tokens - float64(int(tokens)); frac > 1-1e-6 { // at the edge both are right
				now, tokens = now+r.token/2, min(tokens+0.5, burst)
			}
			want := tokens >= 1
			if got := !b.Empty(now, r); got != want {
				t.Fatalf("%+v, step %d: not empty: got %t with %f tokens", test, i, got, tokens)
			}
			if got := b.Take(now, r); got != want {
				t.Fatalf("%+v, step %d: Take: got %t with %f tokens", test, i, got, tokens)
			}
			if want {
				tokens--
			}
		}
	}
}

func TestTimes(t *testing.T) {
	if got, want := New(5, 10).Times(4), New(20, 40); got != want {
		t.Errorf("4 times 5 per second: got %+v, want %+v", got, want)
	}
	if got := (Rate{}).Times(4); got != (Rate{}) {
		t.Errorf("4 times no bound: got %+v", got)
	}
}

// TestBuckets takes tokens of several addresses. All of an IPv6 /64 share a bucket.
func TestBuckets(t *testing.T) {
	rate := New(10, 100)
	exact, hashed := NewAddressBuckets(rate), NewHashedBuckets(rate)
	for name, take := range map[string]func(netip.Addr, int64) bool{"exact": exact.Take, "hashed": hashed.Take} {
		for _, step := range []struct {
			address string
			now     time.Duration
			want    int
		}{
			{"192.0.2.1", time.Hour, 100}, {"192.0.2.1", time.Hour, 0}, {"192.0.2.1", time.Hour + time.Second, 10}, {"192.0.2.1", 2 * time.Hour, 100},
			{"2001:db8::1", time.Hour, 100}, {"2001:db8::2", time.Hour, 0},
		} {
			got := 0
			for got < 1000 && take(netip.MustParseAddr(step.address), int64(step.now)) {
				got++
			}
			if got != step.want {
				t.Errorf("%s: %s after %s: got %d tokens, want %d", name, step.address, step.now, got, step.want)
			}
		}
	}
	if unlimited := NewHashedBuckets(Rate{}); !unlimited.Take(netip.MustParseAddr("192.0.2.1"), 0) {
		t.Error("a rate without a bound has no token")
	}
}

// TestAddressBucketsAreBounded takes tokens of more addresses than are remembered.
func TestAddressBucketsAreBounded(t *testing.T) {
	b, now := NewAddressBuckets(New(1, 10)), int64(time.Hour)
	for i := range maxBuckets + 5000 {
		b.Take(netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}), now)
	}
	if n := len(b.buckets); n != maxBuckets {
		t.Errorf("addresses remembered: got %d, want %d", n, maxBuckets)
	}
	now += int64(time.Hour)
	b.Take(netip.MustParseAddr("203.0.113.1"), now)
	if n := len(b.buckets); n > maxBuckets-60 {
		t.Errorf("addresses remembered when all buckets are full: got %d, want 60 fewer than %d", n, maxBuckets)
	}
}

func TestClientPrefix(t *testing.T) {
	for a, want := range map[string]string{
		"192.0.2.1":        "192.0.2.1",
		"::ffff:192.0.2.1": "192.0.2.1",
		"2001:db8:1:2::3":  "2001:db8:1:2::",
		"fe80::1%eth0":     "fe80::",
	} {
		if got := ClientPrefix(netip.MustParseAddr(a)).String(); got != want {
			t.Errorf("prefix of %s: got %s, want %s", a, got, want)
		}
	}
	if ClientPrefix(netip.Addr{}).IsValid() {
		t.Error("the invalid address has a prefix")
	}
}
