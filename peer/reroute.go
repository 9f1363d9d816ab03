package peer

import (
	"sync/atomic"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"
	"github.com/pion/webrtc/v4"
)

// reroute keeps a call on its path when a NAT gives the other side another
// port, as when it is started anew: that side notices nothing, and goes on with
// its checks, which now come from elsewhere. Pion answers them, but nominates one
// pair for good (RFC 8445 §8.1.1), and would send to the old port until the
// connection fails. Browsers send to where they are heard from.
//
// Pion does not check the new pair, so only another port of the same address is
// followed: whoever is there has agreed to be sent to (RFC 7675 §5.1), and a
// check that is repeated by somebody else turns the call on no third party.
type reroute struct {
	// patience is how long nothing comes by the old path.
	patience time.Duration
	// selected is the pair that was selected last.
	selected atomic.Pointer[webrtc.ICECandidatePair]

	// The rest belongs to the goroutine of Pion's ICE agent.
	session string                   // the user name of its checks (RFC 8445 §7.2.2)
	before  *webrtc.ICECandidatePair // the selected pair of the session before
	current *ice.CandidatePair       // the selected pair, once a check has come by it
}

// requested takes a check that came by a pair and was found to be of the other
// side, and tells if that pair is to be used from now on. It must not call Pion:
// its locks may be held by who waits for the agent.
func (f *reroute) requested(m *stun.Message, _, _ ice.Candidate, pair *ice.CandidatePair) bool {
	selected := f.selected.Load()
	if session := userOf(m); session != f.session {
		f.session, f.before, f.current = session, selected, nil
	}
	switch {
	case selected == nil || selected == f.before:
		return false
	case is(pair, selected):
		f.current = pair
		return false
	case f.current == nil || !is(f.current, selected):
		return false
	case pair.Local != f.current.Local || !pair.Local.NetworkType().IsUDP() || pair.Remote.Address() != f.current.Remote.Address():
		return false
	}
	return time.Since(f.current.Remote.LastReceived()) > f.patience
}

// is tells if two pairs are of the same addresses.
func is(p *ice.CandidatePair, other *webrtc.ICECandidatePair) bool {
	at := func(c ice.Candidate, o *webrtc.ICECandidate) bool {
		return c.Address() == o.Address && c.Port() == int(o.Port) && c.NetworkType().NetworkShort() == o.Protocol.String()
	}
	return at(p.Local, other.Local) && at(p.Remote, other.Remote)
}

func userOf(m *stun.Message) string {
	var user stun.Username
	if user.GetFrom(m) != nil {
		return ""
	}
	return user.String()
}
