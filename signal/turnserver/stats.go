package turnserver

import "sync/atomic"

// Stats are counters of a Server.
type Stats struct {
	Allocations int64             // open now
	Streams     int64             // TCP and TLS connections open now
	Allocated   uint64            // allocations opened since the start
	Sent        uint64            // bytes sent to peers
	Received    uint64            // bytes received from peers
	Refused     map[Reason]uint64 // refusals since the start
}

// Reason is the reason of a refusal.
type Reason string

// Reasons of refusals.
const (
	ReasonCredential Reason = "credential" // malformed or expired user name, or wrong password
	ReasonPeer       Reason = "peer"       // peer address that clients may not send to
	ReasonQuota      Reason = "quota"      // Options.UserQuota, permissions of an allocation
	ReasonAddress    Reason = "address"    // Options.AddressQuota, Options.StreamsPerAddress
	ReasonRate       Reason = "rate"       // Options.RequestRate
	ReasonFull       Reason = "full"       // Options.TotalQuota, Options.MaxStreams
)

// counters are the values behind Stats.
type counters struct {
	allocations, streams      atomic.Int64
	allocated, sent, received atomic.Uint64

	credential, peer, quota, address, rate, full atomic.Uint64
}

// addRefusal counts a refusal.
func (c *counters) addRefusal(r Reason) {
	switch r {
	case ReasonCredential:
		c.credential.Add(1)
	case ReasonPeer:
		c.peer.Add(1)
	case ReasonQuota:
		c.quota.Add(1)
	case ReasonAddress:
		c.address.Add(1)
	case ReasonRate:
		c.rate.Add(1)
	case ReasonFull:
		c.full.Add(1)
	}
}

func (c *counters) snapshot() Stats {
	return Stats{
		Allocations: c.allocations.Load(), Streams: c.streams.Load(),
		Allocated: c.allocated.Load(), Sent: c.sent.Load(), Received: c.received.Load(),
		Refused: map[Reason]uint64{
			ReasonCredential: c.credential.Load(), ReasonPeer: c.peer.Load(),
			ReasonQuota: c.quota.Load(), ReasonAddress: c.address.Load(),
			ReasonRate: c.rate.Load(), ReasonFull: c.full.Load(),
		},
	}
}
