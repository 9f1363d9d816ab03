package turnserver

import "sync/atomic"

// Stats is a snapshot of what a Server has done.
type Stats struct {
	Allocations int64             // open now
	Streams     int64             // TCP and TLS connections open now
	Allocated   uint64            // ever
	Sent        uint64            // bytes to peers
	Received    uint64            // bytes from peers
	Refused     map[Reason]uint64 // ever, by reason
}

// Reason is why a server refused something.
type Reason string

// The reasons of refusals.
const (
	ReasonCredential Reason = "credential" // malformed, expired, or a wrong password
	ReasonPeer       Reason = "peer"       // an address that packets may not go to
	ReasonQuota      Reason = "quota"      // Options.Quota
	ReasonFull       Reason = "full"       // Options.MaxAllocations, Options.MaxStreams
)

// counters are the numbers behind Stats.
type counters struct {
	allocations, streams                   atomic.Int64
	allocated, sent, received              atomic.Uint64
	byCredential, byPeer, byQuota, byBound atomic.Uint64
}

func (c *counters) refused(r Reason) {
	switch r {
	case ReasonCredential:
		c.byCredential.Add(1)
	case ReasonPeer:
		c.byPeer.Add(1)
	case ReasonQuota:
		c.byQuota.Add(1)
	case ReasonFull:
		c.byBound.Add(1)
	}
}

func (c *counters) snapshot() Stats {
	return Stats{
		Allocations: c.allocations.Load(), Streams: c.streams.Load(),
		Allocated: c.allocated.Load(), Sent: c.sent.Load(), Received: c.received.Load(),
		Refused: map[Reason]uint64{
			ReasonCredential: c.byCredential.Load(), ReasonPeer: c.byPeer.Load(),
			ReasonQuota: c.byQuota.Load(), ReasonFull: c.byBound.Load(),
		},
	}
}
