package candidate

import (
	"sync/atomic"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"
	"github.com/pion/webrtc/v4"
)

// PairFollower keeps a call on its path when the peer's NAT rebinds, for example after a restart:
// the peer's checks then come from another port, and the peer does not notice. Pion answers them
// but keeps the nominated pair (RFC 8445 section 8.1.1), and would send to the old port until the
// connection fails. Browsers send to where packets come from.
//
// Pion does not check the new pair. So only another port of the same address is followed: that
// address has given consent (RFC 7675 section 5.1), and a check replayed by somebody else directs
// the call to no third party.
type PairFollower struct {
	// Silence is how long nothing may have come by the old pair before another one is followed.
	Silence time.Duration

	selected atomic.Pointer[webrtc.ICECandidatePair]

	// The fields below belong to the goroutine of Pion's ICE agent.
	session  string                   // USERNAME of the peer's checks (RFC 8445 section 7.2.2)
	previous *webrtc.ICECandidatePair // selected pair of the previous session
	current  *ice.CandidatePair       // selected pair, once a check has come by it
}

// SetSelected sets the selected pair.
func (f *PairFollower) SetSelected(p *webrtc.ICECandidatePair) { f.selected.Store(p) }

// HandleBindingRequest handles an authenticated check that came by a pair and reports whether to
// select that pair. HandleBindingRequest is a handler for Pion's SetICEBindingRequestHandler and
// must not call Pion: a goroutine that waits for the agent may hold Pion's locks.
func (f *PairFollower) HandleBindingRequest(m *stun.Message, _, _ ice.Candidate, pair *ice.CandidatePair) bool {
	selected := f.selected.Load()
	if session := username(m); session != f.session {
		f.session, f.previous, f.current = session, selected, nil
	}
	switch {
	case selected == nil || selected == f.previous:
		return false
	case samePair(pair, selected):
		f.current = pair
		return false
	case f.current == nil || !samePair(f.current, selected):
		return false
	case pair.Local != f.current.Local || !pair.Local.NetworkType().IsUDP() || pair.Remote.Address() != f.current.Remote.Address():
		return false
	}
	return time.Since(f.current.Remote.LastReceived()) > f.Silence
}

// samePair reports whether two pairs have the same transport addresses.
func samePair(p *ice.CandidatePair, other *webrtc.ICECandidatePair) bool {
	same := func(c ice.Candidate, o *webrtc.ICECandidate) bool {
		return c.Address() == o.Address && c.Port() == int(o.Port) && c.NetworkType().NetworkShort() == o.Protocol.String()
	}
	return same(p.Local, other.Local) && same(p.Remote, other.Remote)
}

func username(m *stun.Message) string {
	var user stun.Username
	if user.GetFrom(m) != nil {
		return ""
	}
	return user.String()
}
