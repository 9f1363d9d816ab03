// Package ratelimit bounds how much a client takes in a time.
package ratelimit

import (
	"hash/maphash"
	"math"
	"net/netip"
	"sync/atomic"
	"time"
)

// Rate is how fast tokens are taken: the time that one token takes to grow, and the time that a
// full bucket takes, in nanoseconds. The zero Rate has no bound.
type Rate struct{ token, full int64 }

// New returns the rate of perSecond tokens in the long run, and burst at once.
func New(perSecond float64, burst int) Rate {
	token := max(int64(math.Ceil(float64(time.Second)/perSecond)), 1)
	return Rate{token: token, full: token * int64(burst)}
}

// Times returns n times the rate: n times as many tokens in the long run, and at once.
func (r Rate) Times(n int) Rate {
	if r.token > 0 {
		r.token = max(r.token/int64(n), 1)
	}
	return r
}

// take returns when a bucket that is full at that time is full after one token more is taken, and
// false if there is none.
func (r Rate) take(fullAt, now int64) (int64, bool) {
	if r.token == 0 {
		return fullAt, true
	}
	next := max(fullAt, now) + r.token
	return next, next-now <= r.full
}

// Bucket is a token bucket in eight bytes: the time at which it is full again, in nanoseconds since
// some start (generic cell rate algorithm). The zero Bucket is full. Bucket is not safe for
// concurrent use.
type Bucket int64

// Take takes one token, and returns false if there is none.
func (b *Bucket) Take(now int64, r Rate) bool {
	next, ok := r.take(int64(*b), now)
	if ok {
		*b = Bucket(next)
	}
	return ok
}

// Empty reports whether Take would return false.
func (b Bucket) Empty(now int64, r Rate) bool { return !b.Take(now, r) }

// ClientPrefix returns what counts as one client address: IPv4 addresses as they are, of IPv6 the
// /64, all of which one host has.
func ClientPrefix(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if !a.Is6() {
		return a
	}
	p, _ := a.Prefix(64) // no error: IPv6 addresses have 128 bits
	return p.Addr()
}

// AddressBuckets is a token bucket for each client prefix, exact for those seen last.
// AddressBuckets is not safe for concurrent use.
type AddressBuckets struct {
	rate    Rate
	buckets map[netip.Addr]Bucket
}

// maxBuckets bounds the prefixes of AddressBuckets, and is the number of HashedBuckets. To keep one
// in ten of these empty at 100 tokens per second takes 160,000 packets per second.
const maxBuckets = 1 << 14

// NewAddressBuckets returns full buckets.
func NewAddressBuckets(r Rate) AddressBuckets {
	return AddressBuckets{r, make(map[netip.Addr]Bucket)}
}

// Take takes one token of a, and returns false if there is none.
func (b *AddressBuckets) Take(a netip.Addr, now int64) bool {
	prefix := ClientPrefix(a)
	bucket, known := b.buckets[prefix]
	if !known && len(b.buckets) >= maxBuckets {
		b.evict(now)
	}
	taken := bucket.Take(now, b.rate)
	b.buckets[prefix] = bucket
	return taken
}

// Empty reports whether Take would return false.
func (b *AddressBuckets) Empty(a netip.Addr, now int64) bool {
	return b.buckets[ClientPrefix(a)].Empty(now, b.rate)
}

// evict makes room: it looks at some at random and removes those that are full, or any if none is.
func (b *AddressBuckets) evict(now int64) {
	seen, before := 0, len(b.buckets)
	for prefix, bucket := range b.buckets {
		if seen++; int64(bucket) <= now || seen > 64 && len(b.buckets) == before {
			delete(b.buckets, prefix)
		}
		if seen > 64 {
			return
		}
	}
}

// HashedBuckets is a fixed number of token buckets, into which client prefixes are hashed with a
// random seed, so that no number of addresses uses more memory or waits for a lock. HashedBuckets
// is safe for concurrent use.
type HashedBuckets struct {
	rate   Rate
	seed   maphash.Seed
	fullAt []atomic.Int64
}

// NewHashedBuckets returns full buckets.
func NewHashedBuckets(r Rate) *HashedBuckets {
	return &HashedBuckets{rate: r, seed: maphash.MakeSeed(), fullAt: make([]atomic.Int64, maxBuckets)}
}

// Take takes one token of a, and returns false if there is none.
func (b *HashedBuckets) Take(a netip.Addr, now int64) bool {
	bucket := &b.fullAt[maphash.Comparable(b.seed, ClientPrefix(a))%maxBuckets]
	for {
		old := bucket.Load()
		next, ok := b.rate.take(old, now)
		if !ok || bucket.CompareAndSwap(old, next) {
			return ok
		}
	}
}
