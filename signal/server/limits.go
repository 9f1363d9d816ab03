package server

import (
	"math"
	"time"

	"parley/signal"
	"parley/signal/internal/admission"
	"parley/signal/internal/ratelimit"
	"parley/signal/internal/wire"
)

// Limits bound what clients may ask of a Server. In every field zero stands for the default and a
// negative value lifts the bound; a lifted bound lets one client take what it guards from all
// others.
type Limits struct {
	// Frame is the longest message taken from a client, in bytes; a longer one closes the
	// connection with 1009. Default: 64 KiB. Every connection may hold one such message in memory.
	Frame int
	// SDP is the longest session description, in bytes; browsers send 3 to 10 KiB. Default: 48 KiB.
	SDP int
	// Candidate is the longest candidate line, in bytes; those of RFC 8839 are below 200. Default:
	// 2 KiB.
	Candidate int

	// FrameWait is how long a client may take for the rest of a message once it has begun. Default:
	// 20 seconds.
	FrameWait time.Duration

	// LoginWait is how long a connection may stay without a login. The original pages connect first
	// and sign in when a person clicks, so the default is long: 10 minutes.
	LoginWait time.Duration
	// Pending is how many connections may be without a login; over it the oldest of them makes
	// room. Default: 1024.
	Pending int

	// Offers bounds the offers, answers and watches of a connection, for each call that its user is
	// in. Default: 5 a second, at once 10.
	Offers Rate
	// Candidates bounds the candidates of a connection, for each call that its user is in. Default:
	// 20 a second, at once 200: a host may have an address in each of many networks.
	Candidates Rate
	// Others bounds everything else a connection sends, for each call that its user is in: logins,
	// leaves and what is unknown; and, whatever the calls, pings, pongs that answer no ping, and
	// fragments below 512 bytes. Default: 10 a second, at once 20.
	Others Rate

	// Connections is how many there may be in total. Set it below the process's limit of open
	// files. Default: 16384.
	Connections int
	// PerAddress is how many there may be from one address, of IPv6 from one /64. Default: 256.
	// Mind TrustedProxies: behind a proxy that is not trusted, all clients have one address.
	PerAddress int
	// Upgrades bounds how many connections are taken in. Default: 200 a second, at once 1000.
	Upgrades Rate
	// UpgradesPerAddress bounds how many connections are taken in from one address, of IPv6 from
	// one /64. It comes before Upgrades. Default: 50 a second, at once 500.
	UpgradesPerAddress Rate
	// Calls is how many calls one user may be in. Default: 128.
	Calls int
	// Watches is how many names one user may watch, and WatchesPerAddress how many all users of one
	// address, of IPv6 of one /64. Default: 8 and 64.
	Watches           int
	WatchesPerAddress int
	// WatchFor is how long a name is watched unless the client asks again. Default: 5 minutes.
	WatchFor time.Duration

	// HeaderWait is how long a request's header may take, Header its size in bytes (net/http adds 4
	// KiB). They hold in Run. Default: 5 seconds, 16 KiB.
	HeaderWait time.Duration
	Header     int

	// LoginFailures bounds the logins refused by the Authorizer, and the resumes with a wrong
	// secret, from one address, of IPv6 from one /64. Default: 10 in half an hour, all of them at
	// once.
	LoginFailures Rate
}

// Rate is a token bucket: so many a second in the long run, and so many at once. The zero Rate
// stands for the default of its field, a negative PerSecond lifts the bound, and a zero Burst is
// two seconds' worth, at least 1.
type Rate struct {
	PerSecond float64
	Burst     int
}

// NoLimits lifts every bound.
func NoLimits() Limits {
	lifted := Rate{PerSecond: -1}
	return Limits{
		Frame: -1, SDP: -1, Candidate: -1, FrameWait: -1, LoginWait: -1, Pending: -1, Offers: lifted, Candidates: lifted, Others: lifted,
		Connections: -1, PerAddress: -1, Upgrades: lifted, UpgradesPerAddress: lifted, Calls: -1, Watches: -1, WatchesPerAddress: -1, WatchFor: -1, HeaderWait: -1, Header: -1, LoginFailures: lifted,
	}
}

// limits are Limits with the defaults filled in and what is lifted at its maximum.
type limits struct {
	Limits
	offers, candidates, others, upgrades, upgradesFrom, failures ratelimit.Rate
}

func (l Limits) resolve() limits {
	return limits{
		Limits: Limits{
			Frame: bound(l.Frame, signal.MaxFrame), SDP: bound(l.SDP, signal.MaxSDP), Candidate: bound(l.Candidate, signal.MaxCandidate),
			FrameWait: bound(l.FrameWait, 20*time.Second), LoginWait: bound(l.LoginWait, 10*time.Minute), Pending: bound(l.Pending, 1<<10),
			Connections: bound(l.Connections, 1<<14), PerAddress: bound(l.PerAddress, 256), Calls: bound(l.Calls, 128),
			Watches: bound(l.Watches, 8), WatchesPerAddress: bound(l.WatchesPerAddress, 64), WatchFor: bound(l.WatchFor, 5*time.Minute),
			HeaderWait: bound(l.HeaderWait, 5*time.Second), Header: min(bound(l.Header, 16<<10), 1<<30),
		},
		offers: l.Offers.resolve(5, 10), candidates: l.Candidates.resolve(20, 200), others: l.Others.resolve(10, 20),
		upgrades: l.Upgrades.resolve(200, 1000), upgradesFrom: l.UpgradesPerAddress.resolve(50, 500),
		failures: l.LoginFailures.resolve(10.0/(30*60), 10),
	}
}

// gate returns the limits of WebSockets.
func (l *limits) gate() admission.Limits {
	return admission.Limits{
		Connections: l.Connections, PerAddress: l.PerAddress, Upgrades: l.upgrades, UpgradesPerAddress: l.upgradesFrom, LoginFailures: l.failures,
	}
}

// http returns the limits of an HTTP server.
func (l *limits) http() admission.HTTPLimits {
	return admission.HTTPLimits{Connections: l.Connections, PerAddress: l.PerAddress, HeaderTimeout: l.HeaderWait, MaxHeader: l.Header}
}

// payload returns the limits of what is forwarded.
func (l *limits) payload() wire.PayloadLimits {
	return wire.PayloadLimits{SDP: l.SDP, Candidate: l.Candidate}
}

// bound returns what a field of Limits stands for.
func bound[T ~int | ~int64](value, otherwise T) T {
	switch {
	case value == 0:
		return otherwise
	case value < 0:
		return T(math.MaxInt64)
	}
	return value
}

// resolve returns the rate; perSecond and burst are the default.
func (r Rate) resolve(perSecond float64, burst int) ratelimit.Rate {
	switch {
	case r.PerSecond < 0:
		return ratelimit.Rate{}
	case r.PerSecond > 0:
		perSecond, burst = r.PerSecond, r.Burst
		if burst <= 0 {
			burst = max(int(2*perSecond), 1)
		}
	case r.Burst > 0:
		burst = r.Burst
	}
	return ratelimit.New(perSecond, burst)
}
