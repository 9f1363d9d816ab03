package peer

import (
	"fmt"
	"strings"

	"parley/peer/internal/icenet"
	"parley/peer/internal/jsep"
)

// Stage is where a call failed.
type Stage int

// The stages, in the order of a call.
const (
	Signaling    Stage = iota + 1 // a message could not be sent
	Negotiation                   // a description was refused
	Connection                    // ICE or DTLS did not connect, or the path was lost
	Verification                  // the other side is not who it should be
)

// Error is the reason why a call ended otherwise than by hanging up.
type Error struct {
	Stage Stage
	Err   error
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// progress is what is remembered of a connection to explain its failure.
type progress struct {
	local, remote map[string]int // candidates by type
	reached       bool           // ICE connected
	wasConnected  bool
	answered      bool
	crossed       bool // an offer of the other side was ignored for ours
	split         bool // made because of an answer, see separate.go
}

// stuckHint is for what Chromium 156 does now and then, when it has to take an offer back
// within some 10 ms of making it: the port allocator stops with the transport of that
// offer while its first list of networks, or the permission to use it, is on the way.
// As an earlier version has it in filtering_network_manager.cc, what comes while none
// runs is passed to nobody (FireEventIfStarted), and the same list counts as no change
// later (OnNetworksChanged), so the next allocator waits for it for ever. The page says
// that it gathers, and tells no candidate. Nothing that comes to the page wakes it: tried
// were candidates, the offer once more, an ICE restart by either side, new sections with
// new mids beside the old ones or in their place, and one transport for each.
const stuckHint = "it called at the same moment, and its browser seems not to have survived taking that back: " +
	"load its page again, and call again"

// stuck tells if the other side seems to be so.
func (p *progress) stuck() bool {
	return p.answered && p.crossed && !p.reached && total(p.remote) == 0
}

// described counts the candidates in a description.
func (p *progress) described(d *jsep.Description) {
	for _, value := range d.Candidates() {
		if c, err := icenet.ParseCandidate(value); err == nil {
			p.remote[c.Type().String()]++
		}
	}
}

func newProgress() *progress {
	return &progress{local: map[string]int{}, remote: map[string]int{}}
}

// why says in one sentence why there is no connection. warning is Pion's last.
func (p *progress) why(warning string) error {
	switch {
	case p.wasConnected:
		return fmt.Errorf("the connection was lost: nothing came from the other side for 30 s; is its network up")
	case !p.answered && p.split:
		return fmt.Errorf("the answer divides our offer (no BUNDLE), and none came to the one that is divided so; " +
			"have the other side bundle (webrtcbin: bundle-policy=max-bundle), or take a second offer")
	case !p.answered:
		return fmt.Errorf("no answer came to the offer; does the other side answer calls")
	case p.reached:
		return fmt.Errorf("the addresses reach each other, but the DTLS handshake failed: %s", orUnknown(warning))
	case p.stuck():
		return fmt.Errorf("no connection: none of the other side's candidates arrived; %s", stuckHint)
	case total(p.remote) == 0:
		return fmt.Errorf("no connection: %s of ours, none of the other side's arrived; does its signaling pass candidates on",
			count(p.local))
	default:
		return fmt.Errorf("no connection: none of our addresses (%s) reached one of the other side's (%s); "+
			"are both in one network, or is a TURN server needed (--ice-server)", count(p.local), count(p.remote))
	}
}

func total(m map[string]int) (n int) {
	for _, c := range m {
		n += c
	}
	return n
}

// count writes "3 candidates: 2 host, 1 srflx".
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

func orUnknown(s string) string {
	if s == "" {
		return "no reason given"
	}
	return s
}
