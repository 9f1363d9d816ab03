package peer

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"
)

// Bounds of what the other side may trickle in one call.
const (
	maxCandidate  = 2 << 10 // bytes of one candidate line
	maxCandidates = 500     // an ICE session with more is not worth checking
)

// usableCandidate reads a candidate line. The error says why it is of no use
// here: RTCP's component, which rtcp-mux replaces (RFC 8834 §4.5); TCP that is
// not to be connected to (RFC 6544 §4.5); or a line that is none.
func usableCandidate(line string) (ice.Candidate, error) {
	if len(line) > maxCandidate {
		return nil, fmt.Errorf("it has %d bytes, at most %d are taken", len(line), maxCandidate)
	}
	c, err := ice.UnmarshalCandidate(strings.TrimPrefix(line, "candidate:"))
	if err != nil {
		return nil, fmt.Errorf("it is not a candidate: %w", err)
	}
	switch {
	case c.Component() != ice.ComponentRTP:
		return nil, fmt.Errorf("it is for component %d, and RTCP is multiplexed", c.Component())
	case c.NetworkType().IsTCP() && c.TCPType() != ice.TCPTypePassive:
		return nil, fmt.Errorf("it is for TCP, and does not listen")
	case !reachable(c.Address()):
		return nil, fmt.Errorf("nobody calls from its address %.60q", c.Address())
	case !validAddress(c.Address()):
		return nil, fmt.Errorf("its address %.60q is neither an IP address nor a .local name", c.Address())
	}
	return c, nil
}

// validAddress tells if s is an IP address, or a name that multicast DNS
// resolves. Other names would make this machine ask its DNS server on behalf of
// a stranger.
func validAddress(s string) bool {
	host, _, _ := strings.Cut(s, "%") // an IPv6 zone
	if net.ParseIP(host) != nil {
		return true
	}
	return len(s) <= 255 && strings.HasSuffix(s, ".local") && isHostName(s)
}

// reachable tells if a peer may have an address. Checks go to whatever address
// the other side names, so it could make this machine knock at those that are
// none of its business: of nobody, of everybody, and of the services that tell a
// virtual machine its secrets.
func reachable(s string) bool {
	host, _, _ := strings.Cut(s, "%")
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return true // a name; validAddress knows
	}
	ip = ip.Unmap()
	switch ip.String() {
	case "255.255.255.255", "169.254.169.254", "169.254.170.2", "fd00:ec2::254":
		return false
	}
	return !ip.IsUnspecified() && !ip.IsMulticast()
}

func isHostName(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.' {
			return false
		}
	}
	return true
}

// redundant tells if a candidate of ours is one that was sent already: without
// a NAT, what a STUN server sees is a host candidate (RFC 8445 §5.1.3).
func (c *connection) redundant(cand *webrtc.ICECandidate) bool {
	at := placeOf(cand)
	if cand.Typ == webrtc.ICECandidateTypeHost {
		c.hosts[at] = true
		return false
	}
	return cand.Typ == webrtc.ICECandidateTypeSrflx && c.hosts[at]
}

// place is where a candidate is.
type place struct {
	protocol webrtc.ICEProtocol
	address  string
	port     uint16
}

// candidateEvent is c for the owner of the call.
func candidateEvent(remote bool, c ice.Candidate) CandidateFound {
	return CandidateFound{
		Remote:   remote,
		Type:     c.Type().String(),
		Protocol: c.NetworkType().NetworkShort(),
		Address:  net.JoinHostPort(c.Address(), strconv.Itoa(c.Port())),
	}
}

func iceCandidateEvent(remote bool, c *webrtc.ICECandidate) CandidateFound {
	return CandidateFound{
		Remote:   remote,
		Type:     c.Typ.String(),
		Protocol: c.Protocol.String(),
		Address:  net.JoinHostPort(c.Address, strconv.Itoa(int(c.Port))),
	}
}

// pairEvent is the selected pair for the owner of the call.
func pairEvent(p *webrtc.ICECandidatePair) PairSelected {
	relay := webrtc.ICECandidateTypeRelay
	return PairSelected{
		Local:   iceCandidateEvent(false, p.Local),
		Remote:  iceCandidateEvent(true, p.Remote),
		Relayed: p.Local.Typ == relay || p.Remote.Typ == relay,
	}
}
