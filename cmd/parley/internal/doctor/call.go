package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/peer"
	"parley/peer/datachannel"
	"parley/peer/stats"
	"parley/signal"
)

// testCall is a call that is made to see how it connects.
type testCall struct {
	*doctor
	call      *peer.Call
	connected chan struct{} // closed when the connection is up

	mu     sync.Mutex // guards the fields below
	answer string     // SDP
	code   string     // verification code
	pair   *peer.PairSelected
	remote []peer.CandidateFound
	took   time.Duration // until the connection was up, 0 before
	pairs  []stats.Pair
	absent bool // the peer is not signed in
}

// errEnough ends a test call that is connected, or that cannot be.
var errEnough = errors.New("the test call is over")

// errTimeout ends a test call after Options.Timeout.
var errTimeout = errors.New("timed out")

// checkCall calls the peer, and reports the result.
func (d *doctor) checkCall(ctx context.Context, conn Conn, servers []webrtc.ICEServer) error {
	t := &testCall{doctor: d, connected: make(chan struct{})}
	isTURN := func(url string) bool { return strings.HasPrefix(strings.ToLower(url), "turn") }
	if d.Call.ICE.RelayOnly && !slices.ContainsFunc(servers, func(s webrtc.ICEServer) bool { return slices.ContainsFunc(s.URLs, isTURN) }) {
		err := exit.Errorf(exit.Connection, "--ice-policy relay: there is no TURN server; give one with --ice-server, or run the signaling server with --turn")
		d.report("call", Bad, err.Error())
		return err
	}
	config := d.Call
	config.Signaler, config.OnEvent = conn.Signaler(d.Peer), t.handleEvent
	config.Caller, config.Impolite = true, d.As < d.Peer
	if !d.Endpoint {
		config.Channels = []datachannel.Options{{Label: "channel1"}}
	}
	config.ICE.Servers = servers
	var err error
	if t.call, err = peer.New(config); err != nil {
		return err
	}
	calling, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var work sync.WaitGroup
	defer work.Wait()
	defer stop(nil)
	work.Go(func() { t.receive(calling, conn, stop) })
	work.Go(func() { t.pollPairs(calling, stop) })
	_, err = t.call.Run(calling)
	cause := context.Cause(calling)
	stop(nil)
	work.Wait()
	if i := exit.Interruption(ctx); i != nil {
		return i
	}
	return t.reportResult(err, cause)
}

// receive passes the messages of the peer to the call.
func (t *testCall) receive(ctx context.Context, conn Conn, stop context.CancelCauseFunc) {
	for {
		m, err := conn.Receive(ctx)
		if err != nil {
			if ctx.Err() == nil {
				stop(err)
			}
			return
		}
		if m.Peer != "" && m.Peer != t.Peer {
			continue
		}
		switch {
		case m.Type == signal.Error && m.Code == signal.CodeAbsent:
			t.mu.Lock()
			t.absent = true
			t.mu.Unlock()
			stop(errEnough)
		case m.Type == signal.Answer:
			t.mu.Lock()
			t.answer = m.SDP
			t.mu.Unlock()
		}
		conn.Deliver(t.call, m)
	}
}

// pairInterval is the time between two readings of the candidate pairs.
const pairInterval = 300 * time.Millisecond

// pollPairs reads the candidate pairs until the call is connected or times out.
func (t *testCall) pollPairs(ctx context.Context, stop context.CancelCauseFunc) {
	tick := time.NewTicker(pairInterval)
	defer tick.Stop()
	var timeout <-chan time.Time
	if t.Timeout > 0 {
		timeout = time.After(t.Timeout)
	}
	for {
		cause := error(nil)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-timeout:
			cause = errTimeout
		case <-t.connected:
			cause = errEnough
		}
		if pairs := t.call.Pairs(); len(pairs) > 0 {
			t.mu.Lock()
			t.pairs = pairs
			t.mu.Unlock()
		}
		if cause != nil {
			stop(cause)
			return
		}
	}
}

// handleEvent handles an event of the call.
func (t *testCall) handleEvent(e peer.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch e := e.(type) {
	case peer.StateChanged:
		if e.State == webrtc.PeerConnectionStateConnected && t.took == 0 {
			t.took = max(e.Since, 1)
			close(t.connected)
		}
	case peer.CandidateFound:
		if e.Remote {
			t.remote = append(t.remote, e)
		}
	case peer.PairSelected:
		t.pair = &e
	case peer.VerificationCode:
		t.code = e.Code
	}
}

// reportResult reports the result of the call.
func (t *testCall) reportResult(err, cause error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	name := sanitize.Text(t.Peer)
	if t.absent {
		err := exit.Errorf(exit.Absent, "%s is not signed in at %s", name, sanitize.Text(t.Server))
		t.report("call", Bad, err.Error(), event.Field{Key: "name", Value: t.Peer})
		return err
	}
	t.reportPairs()
	switch {
	case t.took > 0:
		t.report("call", OK, fmt.Sprintf("connected to %s in %d ms", name, t.took.Milliseconds()), event.Field{Key: "name", Value: t.Peer}, event.Field{Key: "ms", Value: t.took.Milliseconds()})
		t.report("dtls", OK, "the handshake is done; the verification code is "+t.code, event.Field{Key: "code", Value: t.code})
		t.reportPath()
		t.reportCodecs()
		return nil
	case errors.Is(cause, errTimeout) && !t.call.Answered():
		err = exit.Errorf(exit.Timeout, "%s did not answer within %s", name, t.Timeout)
	case errors.Is(cause, errTimeout):
		err = exit.Errorf(exit.Connection, "gave up after %s: %w", t.Timeout, t.call.Why())
	case err == nil && cause != nil && !errors.Is(cause, errEnough) && !errors.Is(cause, context.Canceled):
		err = cause // signaling is lost, or the URL refuses the offer
	case err == nil:
		err = exit.Errorf(exit.Absent, "%s said no, or is busy", name)
	}
	t.report("call", Bad, sanitize.Text(err.Error()), event.Field{Key: "name", Value: t.Peer})
	if t.call.Answered() {
		t.reportCodecs()
		t.report("advice", Note, t.advice())
	}
	return err
}

// advice returns what may help when no pair answered.
func (t *testCall) advice() string {
	relays := slices.ContainsFunc(t.remote, func(c peer.CandidateFound) bool { return c.Type == "relay" })
	switch {
	case len(t.remote) == 0:
		return "no candidate of the peer arrived: its network may be down, or the signaling server does not pass them on"
	case t.checked.UDPBlocked():
		return "no UDP gets out of this network: use TURN over TCP, or --tcp-port at the peer"
	case len(t.checked.Servers) == 0:
		return "the two are in different networks, or a firewall is between: use a STUN and TURN server (parley serve --turn, --ice-server)"
	case t.checked.NAT().Symmetric() && !relays:
		return "this network's NAT is symmetric: a TURN server is needed, and has to work for one of the two"
	}
	return "a firewall or NAT of the peer, or one here, drops what does not come from a known port: a TURN server that both reach helps"
}

// maxPairs bounds the candidate pairs that are reported.
const maxPairs = 12

func (t *testCall) reportPairs() {
	for i, p := range t.pairs {
		if i == maxPairs {
			t.report("pair", Note, fmt.Sprintf("and %d more", len(t.pairs)-i))
			return
		}
		outcome, result := outcomeOf(p)
		t.report("pair", result, fmt.Sprintf("%s %s to %s %s, %s: %s", p.Local.Type, p.Local.Address, p.Remote.Type, p.Remote.Address, p.Local.Protocol, outcome),
			event.Field{Key: "local", Value: p.Local.Type + " " + p.Local.Address}, event.Field{Key: "remote", Value: p.Remote.Type + " " + p.Remote.Address},
			event.Field{Key: "protocol", Value: p.Local.Protocol}, event.Field{Key: "outcome", Value: outcome}, event.Field{Key: "checks", Value: p.ChecksSent}, event.Field{Key: "answers", Value: p.ResponsesReceived}, event.Field{Key: "selected", Value: p.Nominated})
	}
}

// outcomeOf returns the outcome of a candidate pair.
func outcomeOf(p stats.Pair) (outcome, result string) {
	switch {
	case p.Nominated:
		return fmt.Sprintf("selected, round trip %.1f ms", milliseconds(p.RTT)), OK
	case p.ResponsesReceived > 0:
		return fmt.Sprintf("works, round trip %.1f ms, but another was better or sooner", milliseconds(p.RTT)), OK
	case p.ChecksReceived > 0:
		return fmt.Sprintf("the checks of the peer arrive, but none of our %d was answered", p.ChecksSent), Note
	case p.ChecksSent > 0:
		return fmt.Sprintf("no answer to %s", checks(p.ChecksSent)), Note
	}
	return "not tried", Note
}

// reportPath reports the path of the packets, and why it is relayed if it is.
func (t *testCall) reportPath() {
	if t.pair == nil {
		return
	}
	if !t.pair.Relayed {
		t.report("path", OK, "direct, over "+strings.ToUpper(t.pair.Local.Protocol), event.Field{Key: "relayed", Value: false})
		return
	}
	why := "no direct pair answered in time: the NAT or firewall of the peer is the likely reason"
	only := len(t.remote) > 0 && !slices.ContainsFunc(t.remote, func(c peer.CandidateFound) bool { return c.Type != "relay" })
	switch {
	case t.Call.ICE.RelayOnly:
		why = "--ice-policy relay says so"
	case only:
		why = "the peer offers only relayed candidates"
	case t.checked.UDPBlocked():
		why = "no UDP gets out of this network"
	case t.checked.NAT().Symmetric():
		why = "this network's NAT is symmetric: only peers that we have sent to can reach us, and the NAT of the peer does not let us in"
	}
	t.report("path", Note, "through a relay: "+why, event.Field{Key: "relayed", Value: true}, event.Field{Key: "why", Value: why})
}

// reportCodecs reports the codecs of the answer.
func (t *testCall) reportCodecs() {
	codecs := codecsIn(t.answer)
	for _, kind := range []string{"audio", "video"} {
		list, offered := codecs[kind]
		switch {
		case len(list) > 0:
			t.report("codecs", OK, kind+" that both can: "+sanitize.Text(strings.Join(list, ", ")), event.Field{Key: "kind", Value: kind}, event.Field{Key: "codecs", Value: list})
		case offered:
			t.report("codecs", Note, "the peer accepts no "+kind, event.Field{Key: "kind", Value: kind}, event.Field{Key: "codecs", Value: []string{}})
		}
	}
}

// codecsIn returns the codecs of an answer by kind of media, none for a rejected section. It
// returns none for an invalid answer.
func codecsIn(answer string) map[string][]string {
	auxiliary := []string{"rtx", "red", "ulpfec", "flexfec-03", "telephone-event", "cn"}
	var d sdp.SessionDescription
	if err := d.UnmarshalString(answer); err != nil {
		return nil
	}
	codecs := map[string][]string{}
	for _, m := range d.MediaDescriptions {
		kind := m.MediaName.Media
		list := append([]string{}, codecs[kind]...)
		for _, a := range m.Attributes {
			_, name, _ := strings.Cut(a.Value, " ")
			name, _, _ = strings.Cut(name, "/")
			if a.Key == "rtpmap" && m.MediaName.Port.Value != 0 && name != "" &&
				!slices.Contains(auxiliary, strings.ToLower(name)) && !slices.Contains(list, name) {
				list = append(list, name)
			}
		}
		codecs[kind] = list
	}
	return codecs
}

func checks(n uint64) string {
	if n == 1 {
		return "1 check"
	}
	return fmt.Sprintf("%d checks", n)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
