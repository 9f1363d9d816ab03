package peer

import (
	"net"
	"strconv"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"
)

// redundant reports whether a local candidate has been sent already: without a NAT, the
// server-reflexive candidate is a host candidate (RFC 8445 section 5.1.3).
func (c *connection) redundant(cand *webrtc.ICECandidate) bool {
	at := transportAddressOf(cand)
	if cand.Typ == webrtc.ICECandidateTypeHost {
		c.hosts[at] = true
		return false
	}
	return cand.Typ == webrtc.ICECandidateTypeSrflx && c.hosts[at]
}

// transportAddress is where a candidate receives.
type transportAddress struct {
	protocol webrtc.ICEProtocol
	address  string
	port     uint16
}

// transportAddressOf returns the transport address of a candidate.
func transportAddressOf(c *webrtc.ICECandidate) transportAddress {
	return transportAddress{c.Protocol, c.Address, c.Port}
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
