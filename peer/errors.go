package peer

import (
	"errors"
	"fmt"
	"strings"

	"parley/peer/internal/candidate"
	"parley/peer/internal/jsep"
)

// Stage is where a call failed.
type Stage int

// The stages, in the order of a call.
const (
	Signaling    Stage = iota + 1 // a message could not be sent
	Negotiation                   // a description was rejected
	Connection                    // ICE or DTLS did not connect, or the path was lost
	Verification                  // the certificate of the peer is not the expected one
)

// Error is the error with which a call ended.
type Error struct {
	Stage Stage
	Err   error
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// progress records how far a connection has come, to explain its failure.
type progress struct {
	local, remote map[string]int // candidates by type
	reached       bool           // ICE connected
	wasConnected  bool
	answered      bool
	crossed       bool // an offer of the peer was ignored
	split         bool // see splitTransports
}

// stuckHint is for a defect of Chromium 156, which sometimes gathers no candidates after it has
// rolled back an offer within 10 ms: the port allocator stops with the transport of that offer
// before its first list of networks, or the permission to use it, has come. By
// filtering_network_manager.cc, a list that comes meanwhile is dropped (FireEventIfStarted), and
// the same list later is no change (OnNetworksChanged), so the next allocator waits for ever. None
// of these helps: candidates, the same offer again, an ICE restart by either peer, new m-sections,
// one transport for each m-section.
const stuckHint = "its browser may gather no candidates after its own offer was rolled back; " +
	"reload its page and call again"

// stuck reports whether the peer seems to have that defect.
func (p *progress) stuck() bool {
	return p.answered && p.crossed && !p.reached && total(p.remote) == 0
}

// described counts the candidates in a description.
func (p *progress) described(d *jsep.Description) {
	for _, value := range d.Candidates() {
		if c, err := candidate.Parse(value); err == nil {
			p.remote[c.Type().String()]++
		}
	}
}

// newProgress returns the progress of a new connection.
func newProgress() *progress {
	return &progress{local: map[string]int{}, remote: map[string]int{}}
}

// why returns the reason why there is no connection. warning is the last one of Pion.
func (p *progress) why(warning string) error {
	switch {
	case p.wasConnected:
		return errors.New("connection lost: no response from the peer; are both networks up")
	case !p.answered && p.split:
		return fmt.Errorf("no answer to the offer without BUNDLE, which follows an answer without it; " +
			"let the peer bundle (webrtcbin: bundle-policy=max-bundle) or accept a second offer")
	case !p.answered:
		return fmt.Errorf("no answer to the offer; does the peer answer calls")
	case p.reached:
		return fmt.Errorf("the addresses reach each other, but the DTLS handshake failed: %s", orUnknown(warning))
	case p.stuck():
		return fmt.Errorf("no connection: no candidate of the peer arrived; %s", stuckHint)
	case total(p.remote) == 0:
		return fmt.Errorf("no connection: %s sent, no candidate of the peer arrived; does its signaling send candidates",
			count(p.local))
	default:
		return fmt.Errorf("no connection: none of our addresses (%s) reached one of the peer's (%s); "+
			"are both in one network, or is a TURN server needed (--ice-server)", count(p.local), count(p.remote))
	}
}

// total returns the number of candidates.
func total(m map[string]int) (n int) {
	for _, c := range m {
		n += c
	}
	return n
}

// count returns a text such as "3 candidates: 2 host, 1 srflx".
func count(m map[string]int) string {
	var parts []string
	for _, t := range []string{"host", "srflx", "prflx", "relay"} {
		if m[t] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", m[t], t))
		}
	}
	switch n := total(m); n {
	case 0:
		return "no candidates"
	case 1:
		return "1 candidate: " + parts[0]
	default:
		return fmt.Sprintf("%d candidates: %s", n, strings.Join(parts, ", "))
	}
}

// orUnknown returns s, or a text if it is empty.
func orUnknown(s string) string {
	if s == "" {
		return "no reason given"
	}
	return s
}
