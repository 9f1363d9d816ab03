package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/peer"
	"parley/peer/datachannel"
	"parley/peer/stats"
	"parley/signal"
	"parley/signal/client"
)

// trial is a call that is made to see how it connects.
type trial struct {
	*doctor
	name   string
	call   *peer.Call
	opened chan struct{} // closed when the connection, or the channel in it, is up

	mu        sync.Mutex // protects following
	answer    string     // the other side's description
	code      string     // verification code
	pair      *peer.PairSelected
	remote    []peer.CandidateFound
	connected time.Duration
	pairs     []stats.Pair
	absent    bool
	open      bool
}

// try calls name, and tells what became of it.
func (d *doctor) try(ctx context.Context, l *line, name string) error {
	t := &trial{doctor: d, name: name, opened: make(chan struct{})}
	servers, err := l.iceServers()
	if err != nil {
		d.tell("call", bad, err.Error())
		return err
	}
	emulator := d.newEmulator()
	if emulator != nil {
		defer emulator.Close()
	}
	t.call, err = peer.New(peer.Config{
		Signaler: l.to(name), OnEvent: t.happened, Caller: true, Impolite: d.settings.name < name, Channels: []datachannel.Options{{Label: "channel1"}},
		Media: peer.MediaConfig{Receive: []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo}},
		ICE: peer.ICEConfig{Servers: servers, TLS: d.tls, RelayOnly: d.relayOnly, Loopback: d.loopback(),
			MinPort: d.minPort, MaxPort: d.maxPort, UDPMux: d.mux, TCPMux: d.tcp, AdvertiseIPs: d.advertise, Interfaces: d.interfaces},
		Netem: emulator, KeyLog: d.keyLog, Logger: d.logger,
	})
	if err != nil {
		return err
	}
	calling, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var work sync.WaitGroup
	defer work.Wait()
	defer stop(nil)
	work.Go(func() { t.route(calling, l.client, stop) })
	work.Go(func() { t.watch(calling, stop) })
	_, err = t.call.Run(calling)
	cause := context.Cause(calling)
	stop(nil)
	work.Wait()
	if i := exit.Interruption(ctx); i != nil {
		return i
	}
	return t.conclude(err, cause)
}

// route hands the messages of the server to the call.
func (t *trial) route(ctx context.Context, client *client.Client, stop context.CancelCauseFunc) {
	for {
		m, err := client.Receive(ctx)
		if err != nil {
			if ctx.Err() == nil {
				stop(err)
			}
			return
		}
		if m.Peer != "" && m.Peer != t.name {
			continue
		}
		switch m.Type {
		case signal.Offer:
			t.call.DeliverOffer(description(m))
		case signal.Answer:
			t.mu.Lock()
			t.answer = m.SDP
			t.mu.Unlock()
			t.call.DeliverAnswer(description(m))
		case signal.ICECandidate:
			t.call.DeliverCandidate(candidateInit(m.Candidate))
		case signal.Leave:
			t.call.DeliverLeave()
		case signal.Error:
			if m.Code == signal.CodeAbsent {
				t.mu.Lock()
				t.absent = true
				t.mu.Unlock()
				stop(errTrial)
			}
		}
	}
}

// pairInterval is how often the pairs are looked at.
const pairInterval = 300 * time.Millisecond

// watch looks at the pairs until the call is up, or its time is over.
func (t *trial) watch(ctx context.Context, stop context.CancelCauseFunc) {
	tick := time.NewTicker(pairInterval)
	defer tick.Stop()
	var timeout <-chan time.Time
	if t.timeout > 0 {
		timeout = time.After(t.timeout)
	}
	for {
		cause := error(nil)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-timeout:
			cause = errTimeout
		case <-t.opened:
			cause = errTrial
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

// happened takes the events of the call.
func (t *trial) happened(e peer.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch e := e.(type) {
	case peer.StateChanged:
		if e.State == webrtc.PeerConnectionStateConnected && t.connected == 0 {
			t.connected = max(e.Since, 1)
			if !t.open {
				t.open = true
				close(t.opened)
			}
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

// conclude tells what was seen.
func (t *trial) conclude(err, cause error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	name := sanitize.Text(t.name)
	if t.absent {
		err := exit.Errorf(exit.Absent, "%s is not signed in at %s", name, sanitize.Text(t.server))
		t.tell("call", bad, err.Error(), event.Field{Key: "name", Value: t.name})
		return err
	}
	t.tellPairs()
	switch {
	case t.connected > 0:
		t.tell("call", fine, fmt.Sprintf("connected to %s in %d ms", name, t.connected.Milliseconds()), event.Field{Key: "name", Value: t.name}, event.Field{Key: "ms", Value: t.connected.Milliseconds()})
		t.tell("dtls", fine, "the handshake is done; the verification code is "+t.code, event.Field{Key: "code", Value: t.code})
		t.tellPath()
		t.tellCodecs()
		return nil
	case errors.Is(cause, errTimeout) && !t.call.Answered():
		err = exit.Errorf(exit.Timeout, "%s did not answer within %s", name, t.timeout)
	case errors.Is(cause, errTimeout):
		err = exit.Errorf(exit.Connection, "gave up after %s: %w", t.timeout, t.call.Why())
	case err == nil:
		err = exit.Errorf(exit.Absent, "%s said no, or is busy", name)
	}
	t.tell("call", bad, sanitize.Text(err.Error()), event.Field{Key: "name", Value: t.name})
	if t.call.Answered() {
		t.tellCodecs()
		t.tell("advice", note, t.advice())
	}
	return err
}

// advice is what may help when no pair answered.
func (t *trial) advice() string {
	relays := slices.ContainsFunc(t.remote, func(c peer.CandidateFound) bool { return c.Type == "relay" })
	switch {
	case len(t.remote) == 0:
		return "none of the other side's candidates arrived: its network may be down, or the signaling server does not pass them on"
	case t.checked.UDPBlocked():
		return "no UDP gets out of this network: let it use TURN over TCP, or the other side --tcp-port"
	case len(t.checked.Servers) == 0:
		return "the two are in different networks, or a firewall is between: use a STUN and TURN server (parley serve --turn, --ice-server)"
	case t.checked.NAT().Symmetric() && !relays:
		return "this network's NAT is symmetric: a TURN server is needed, and has to work for one of the two"
	}
	return "a firewall or NAT on the other side, or one here, drops what does not come from a known port: a TURN server that both reach helps"
}

// maxPairs is how many pairs are told.
const maxPairs = 12

func (t *trial) tellPairs() {
	for i, p := range t.pairs {
		if i == maxPairs {
			t.tell("pair", note, fmt.Sprintf("and %d more", len(t.pairs)-i))
			return
		}
		outcome, result := outcomeOf(p)
		t.tell("pair", result, fmt.Sprintf("%s %s to %s %s, %s: %s", p.Local.Type, p.Local.Address, p.Remote.Type, p.Remote.Address, p.Local.Protocol, outcome),
			event.Field{Key: "local", Value: p.Local.Type + " " + p.Local.Address}, event.Field{Key: "remote", Value: p.Remote.Type + " " + p.Remote.Address},
			event.Field{Key: "protocol", Value: p.Local.Protocol}, event.Field{Key: "outcome", Value: outcome}, event.Field{Key: "checks", Value: p.ChecksSent}, event.Field{Key: "answers", Value: p.ResponsesReceived}, event.Field{Key: "selected", Value: p.Nominated})
	}
}

// outcomeOf says what became of a pair.
func outcomeOf(p stats.Pair) (outcome, result string) {
	switch {
	case p.Nominated:
		return fmt.Sprintf("selected, round trip %.1f ms", milliseconds(p.RTT)), fine
	case p.ResponsesReceived > 0:
		return fmt.Sprintf("works, round trip %.1f ms, but another was better or sooner", milliseconds(p.RTT)), fine
	case p.ChecksReceived > 0:
		return fmt.Sprintf("the other side's checks arrive, but none of our %d was answered", p.ChecksSent), note
	case p.ChecksSent > 0:
		return fmt.Sprintf("no answer to %s", plural(p.ChecksSent, "check")), note
	}
	return "not tried", note
}

// tellPath says how the packets go, and why through a relay if they do.
func (t *trial) tellPath() {
	if t.pair == nil {
		return
	}
	if !t.pair.Relayed {
		t.tell("path", fine, "direct, over "+strings.ToUpper(t.pair.Local.Protocol), event.Field{Key: "relayed", Value: false})
		return
	}
	why := "no direct pair answered in time: the other side's NAT or firewall is the likely reason"
	only := len(t.remote) > 0 && !slices.ContainsFunc(t.remote, func(c peer.CandidateFound) bool { return c.Type != "relay" })
	switch {
	case t.relayOnly:
		why = "--ice-policy relay says so"
	case only:
		why = "the other side offers relays alone"
	case t.checked.UDPBlocked():
		why = "no UDP gets out of this network"
	case t.checked.NAT().Symmetric():
		why = "this network's NAT is symmetric, so nobody can send to where we can be reached but who we have sent to, and the other side's does not let us in"
	}
	t.tell("path", note, "through a relay: "+why, event.Field{Key: "relayed", Value: true}, event.Field{Key: "why", Value: why})
}

// tellCodecs tells what both sides can do, by the other side's answer.
func (t *trial) tellCodecs() {
	codecs := codecsIn(t.answer)
	for _, kind := range []string{"audio", "video"} {
		list, offered := codecs[kind]
		switch {
		case len(list) > 0:
			t.tell("codecs", fine, kind+" that both can: "+sanitize.Text(strings.Join(list, ", ")), event.Field{Key: "kind", Value: kind}, event.Field{Key: "codecs", Value: list})
		case offered:
			t.tell("codecs", note, "the other side takes part in no "+kind, event.Field{Key: "kind", Value: kind}, event.Field{Key: "codecs", Value: []string{}})
		}
	}
}

// codecsIn are the codecs of an answer by kind of media; none where it refuses
// the section.
func codecsIn(sdp string) map[string][]string {
	aside := []string{"rtx", "red", "ulpfec", "flexfec-03", "telephone-event", "cn"}
	codecs := map[string][]string{}
	kind, refused := "", false
	for line := range strings.Lines(sdp) {
		line = strings.TrimRight(line, "\r\n")
		if m, ok := strings.CutPrefix(line, "m="); ok {
			parts := strings.Fields(m)
			kind, refused = parts[0], len(parts) > 1 && parts[1] == "0"
			codecs[kind] = append(codecs[kind], []string{}...)
		}
		if _, m, ok := strings.Cut(line, "a=rtpmap:"); ok && !refused && kind != "" {
			_, name, _ := strings.Cut(m, " ")
			name, _, _ = strings.Cut(name, "/")
			if name != "" && !slices.Contains(aside, strings.ToLower(name)) && !slices.Contains(codecs[kind], name) {
				codecs[kind] = append(codecs[kind], name)
			}
		}
	}
	return codecs
}

// errTrial ends a trial call that has told what it can.
var errTrial = errors.New("enough was seen")
