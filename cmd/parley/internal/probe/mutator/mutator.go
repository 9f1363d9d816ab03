// Package mutator changes what a call sends and receives by signaling.
package mutator

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"parley/cmd/parley/internal/probe/sdptext"
	"parley/cmd/parley/internal/session"
	"parley/cmd/parley/internal/signaling"
	"parley/peer"
	"parley/signal"
)

// mutator changes what this side says by signaling, to see how the other
// takes it: all of it is allowed by the standards, but for wrong-fingerprint.
// mutator is the middleware next to the call.
type Mutator struct {
	OnCrossed func() // is called once the messages of crossing are delivered

	changes []string
	held    *signal.Message // an offer that waits for its candidates
	lines   []string        // of candidates, with a=
	// release sends held, once the candidates are known.
	release func(context.Context) error

	answered  atomic.Bool   // an answer has come: the call is up
	processed atomic.Uint64 // number of the latest offer that was answered
	answers   atomic.Int32  // that have come, if one is to be lost
	lost      atomic.Bool   // what is to be lost once

	offers []signal.Message // all that were sent
	answer *signal.Message  // sent last

	mu       sync.Mutex            // guards the following
	crossing []signal.Message      // of the peer, from its offer on: not delivered before ours is sent
	next     signaling.DeliverFunc // delivers them
	crossed  bool                  // they are delivered
}

// attach changes the signaling of a call.
func (a *Mutator) Attach(c *session.Session) {
	c.Intercept(a)
	c.Observe(session.Observer{PeerEvent: func(e peer.Event) {
		if _, ok := e.(peer.GatheringComplete); !ok || a.release == nil {
			return
		}
		if err := a.release(c.Context()); err != nil {
			c.Logger().Debug("the offer was not sent", "error", err)
		}
	}})
}

// Send implements middleware.
func (a *Mutator) Send(ctx context.Context, m signal.Message, next signaling.SendFunc) error {
	for _, message := range a.of(m) {
		if err := next(ctx, message); err != nil {
			return err
		}
	}
	if a.held != nil {
		// Not with ctx, which ends with this message.
		a.release = func(ctx context.Context) error { return a.sendHeld(ctx, next) }
	}
	if m.Type == signal.Offer {
		a.deliverCrossing()
	}
	return nil
}

// Deliver implements middleware.
func (a *Mutator) Deliver(m signal.Message, next signaling.DeliverFunc) {
	if m.Type == signal.Answer {
		a.markAnswered(m)
	}
	if !a.loses(m) && !a.delays(m, next) {
		next(m)
	}
}

// loses reports whether a message of the peer is lost: the first answer after the one of the call.
func (a *Mutator) loses(m signal.Message) bool {
	if m.Type != signal.Answer || !a.does("drop-reanswer") {
		return false
	}
	return a.answers.Add(1) > 1 && !a.lost.Swap(true)
}

// delays reports whether a message of the peer is delivered later: from its first offer in a call
// that is up on, until this side has sent one.
func (a *Mutator) delays(m signal.Message, next signaling.DeliverFunc) bool {
	if !a.does("glare-reoffer") || m.Type != signal.Offer && m.Type != signal.ICECandidate {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.crossed || !a.answered.Load() || m.Type != signal.Offer && len(a.crossing) == 0 {
		return false
	}
	a.crossing, a.next = append(a.crossing, m), next
	return true
}

// deliverCrossing delivers what was delayed until this side has sent an offer.
func (a *Mutator) deliverCrossing() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.crossing) == 0 {
		return
	}
	for _, m := range a.crossing {
		a.next(m)
	}
	a.crossing, a.crossed = nil, true
	a.OnCrossed()
}

// candidateChanges are those of candidates.
func candidateChanges() []string {
	return []string{"vanilla", "no-candidates", "junk-candidates", "many-candidates"}
}

// laterChanges are those of the messages of a call that is up. The offer is invalid (RFC 8285
// section 4.2: 0 identifies no header extension), the first one is lost, or the first answer to
// one; each offer is sent twice, or followed by one that is older than the latest that was
// answered; each answer is preceded by the one before it, and by a rejection with its number; the
// first offer of the peer is not delivered before ours is sent.
func laterChanges() []string {
	return []string{
		"bad-reoffer", "drop-reoffer", "drop-reanswer", "repeat-reoffer", "stale-reoffer", "stale-reanswer", "glare-reoffer",
	}
}

// laterOffer returns the messages that replace an offer of a call that is up.
func (a *Mutator) laterOffer(m signal.Message) []signal.Message {
	stale := a.staleOffer()
	a.offers = append(a.offers, m)
	switch {
	case a.does("drop-reoffer") && !a.lost.Swap(true):
		return nil
	case a.does("repeat-reoffer"):
		return []signal.Message{m, m}
	case a.does("stale-reoffer") && stale != nil:
		return []signal.Message{m, *stale}
	case a.does("bad-reoffer"):
		all := sdptext.Parse(m.SDP)
		sdptext.AddToMedia(all, "a=extmap:0 urn:x-unknown")
		m.SDP = sdptext.Format(all)
	}
	return []signal.Message{m}
}

// staleOffer returns the latest offer before the one that was answered last, nil if there is none.
// The one that was answered last is not stale before the peer has processed another: a peer that
// ignores the next offer, because it crosses one of its own, answers this one again.
func (a *Mutator) staleOffer() *signal.Message {
	for _, m := range slices.Backward(a.offers) {
		if m.Extension != nil && m.Extension.Number < a.processed.Load() {
			return &m
		}
	}
	return nil
}

// laterAnswer returns the messages that replace an answer.
func (a *Mutator) laterAnswer(m signal.Message) []signal.Message {
	before := a.answer
	a.answer = &m
	if !a.does("stale-reanswer") || before == nil || before.Extension == nil {
		return []signal.Message{m}
	}
	rejection := *before
	rejection.SDP, rejection.Extension = "", &signal.Extension{Version: signal.ExtensionVersion, Number: before.Extension.Number, Rejected: "stale"}
	return []signal.Message{*before, rejection, m}
}

// markAnswered notes that an answer has come.
func (a *Mutator) markAnswered(answer signal.Message) {
	a.answered.Store(true)
	if x := answer.Extension; x != nil {
		a.processed.Store(max(a.processed.Load(), x.Number))
	}
}

// newMutator reads offer=CHANGE,CHANGE.
func New(list string) (*Mutator, error) {
	a := &Mutator{}
	for _, name := range strings.Split(list, ",") {
		if _, ok := sdptext.Mutations()[name]; !ok && !slices.Contains(slices.Concat(candidateChanges(), laterChanges()), name) {
			var all []string
			for n := range sdptext.Mutations() {
				all = append(all, n)
			}
			all = slices.Concat(all, candidateChanges(), laterChanges())
			slices.Sort(all)
			return nil, fmt.Errorf("there is no change %q of an offer; there are %s", name, strings.Join(all, ", "))
		}
		a.changes = append(a.changes, name)
	}
	return a, nil
}

func (a *Mutator) does(name string) bool { return slices.Contains(a.changes, name) }

// of is what is sent in place of m; it is called from one goroutine.
func (a *Mutator) of(m signal.Message) []signal.Message {
	switch {
	case m.Type == signal.Offer && a.answered.Load():
		return a.laterOffer(m)
	case m.Type == signal.Answer:
		return a.laterAnswer(m)
	case m.Type == signal.Offer:
		m.SDP = a.describe(m.SDP)
		a.offers = append(a.offers, m)
		if a.does("vanilla") {
			a.held = &m
			return nil
		}
	case m.Type == signal.ICECandidate:
		return a.candidate(m)
	}
	return []signal.Message{m}
}

func (a *Mutator) describe(sdp string) string {
	all := sdptext.Parse(sdp)
	if a.does("no-candidates") {
		sdptext.Drop(all, "a=candidate:")
	}
	for _, name := range a.changes {
		if change := sdptext.Mutations()[name]; change != nil {
			change(all)
		}
	}
	return sdptext.Format(all)
}

func (a *Mutator) candidate(m signal.Message) []signal.Message {
	switch {
	case m.Candidate == nil || m.Candidate.Candidate == "":
	case a.does("no-candidates"):
		return nil
	case a.held != nil:
		a.lines = append(a.lines, "a="+strings.TrimPrefix(m.Candidate.Candidate, "a="))
		return nil
	case a.does("junk-candidates"):
		return append(a.more(m, junk()), m, m) // and each one twice
	case a.does("many-candidates"):
		return append(a.more(m, many()), m)
	}
	return []signal.Message{m}
}

// sendHeld sends the offer that was held until all candidates were found, with
// these in it (RFC 8839 §5.1, RFC 8840 §4.2).
func (a *Mutator) sendHeld(ctx context.Context, next signaling.SendFunc) error {
	if a.held == nil {
		return nil
	}
	offer := *a.held
	a.held = nil
	all := sdptext.Parse(offer.SDP)
	sdptext.Drop(all, "a=ice-options:")
	if len(all) > 1 {
		all[1].Lines = append(all[1].Lines, append(a.lines, "a=end-of-candidates")...)
	}
	offer.SDP = sdptext.Format(all)
	return next(ctx, offer)
}

// more are candidates beside m.
func (a *Mutator) more(m signal.Message, lines []string) []signal.Message {
	var all []signal.Message
	for _, line := range lines {
		c := *m.Candidate
		c.Candidate = line
		all = append(all, signal.Message{Type: m.Type, Peer: m.Peer, Candidate: &c})
	}
	a.changes = slices.DeleteFunc(a.changes, func(n string) bool { return n == "many-candidates" }) // once
	return all
}

// junk are candidates that a peer ignores (RFC 8839 §5.1): for RTCP, of unknown
// kinds, at names that nobody has, TCP that only connects.
func junk() []string {
	return []string{
		"candidate:1 2 udp 2130706430 192.0.2.1 50001 typ host",
		"candidate:2 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active",
		"candidate:3 1 udp 2130706431 192.0.2.1 50001 typ future generation 0 network-cost 999",
		"candidate:4 1 sctp 2130706431 192.0.2.1 50001 typ host",
		"candidate:5 1 udp 2130706431 00000000-0000-4000-8000-000000000000.local 50001 typ host",
		"candidate:6 1 udp 2130706431 2001:db8::1 50001 typ host extension value",
	}
}

// many are candidates at addresses where nobody is (RFC 5737).
func many() []string {
	var all []string
	for i := range 30 {
		all = append(all, fmt.Sprintf("candidate:%d 1 udp %d 198.51.100.%d 50000 typ host", 100+i, 2130706431-i, i+1))
	}
	return all
}
