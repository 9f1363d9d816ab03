package negotiation

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

// FuzzNegotiation runs two state machines against each other. The input decides what happens next:
// a change at one side, a message that arrives, is lost, comes twice or overtakes others, a timer,
// or a description that cannot be applied. After that the wire is good, and both ends
// must agree.
func FuzzNegotiation(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3})
	f.Add([]byte{0, 1, 20, 21, 20, 21, 20, 21})
	f.Add([]byte{0, 1, 30, 31, 0, 1, 20, 21, 40, 41, 60, 61, 20, 21, 70, 71})
	f.Add([]byte{0, 0, 0, 1, 1, 1, 50, 20, 51, 21, 22, 23, 24, 80, 90, 100, 110, 120})
	f.Fuzz(func(t *testing.T, input []byte) {
		if len(input) > 300 {
			return
		}
		s := newSimulation(t)
		for _, b := range input {
			s.step(b)
		}
		s.settle()
	})
}

// trace makes the fuzz test log every event.
const trace = false

// simulation is two sides and what is on the wire between them.
type simulation struct {
	t     *testing.T
	sides [2]*side
	wire  [2][]message // to each side, oldest first
}

// message is an offer, an answer, or the rejection of an offer.
type message struct {
	kind      string // offer, answer, reject
	number    uint64
	processed uint64 // by the sender, in offers
	sections  []string
}

// side is one end: the machine, and a PeerConnection that knows nothing but m-sections. As the real
// owner it applies an offer of its own only together with the answer.
type side struct {
	*simulation
	index    int
	n        Machine
	sections []string // negotiated
	leftover []string // of offers that failed; they stay in later offers
	out      []string // sections of the offer that is out
	answer   message  // sent last
	deferred message
	queued   []*change
	pending  []*change // in the offer that is out
	changes  []*change // all
	failing  int       // descriptions that will fail to be applied
	made     int
}

// change is a section that one side wants to add.
type change struct {
	section string
	done    bool
	err     error
}

var errSimulated = errors.New("simulated failure")

func newSimulation(t *testing.T) *simulation {
	s := &simulation{t: t}
	for i := range s.sides {
		s.sides[i] = &side{simulation: s, index: i}
	}
	return s
}

// polite reports whether a side yields.
func (d *side) polite() bool { return d.index == 1 }

func (s *simulation) step(b byte) {
	d := s.sides[b&1]
	queue := &s.wire[d.index]
	switch kind := int(b>>1) % 10; {
	case kind == 0:
		d.change()
	case kind == 1 && len(d.changes) > 0 && d.failing < 3:
		d.failing++
	case kind == 2:
		d.handle(OfferTimedOut{}, message{})
	case kind == 3:
		d.handle(SignalingRestored{}, message{})
	case len(*queue) == 0:
	case kind <= 6:
		d.deliver()
	case kind == 7: // lost
		*queue = (*queue)[1:]
	case kind == 8: // comes twice
		*queue = append(*queue, (*queue)[0])
	default: // is overtaken by the others
		*queue = append((*queue)[1:], (*queue)[0])
	}
	for _, d := range s.sides {
		if len(d.pending) > 0 && d.n.State != HaveLocalOffer {
			s.t.Fatalf("side %d: changes are pending in state %v", d.index, d.n.State)
		}
	}
}

// settle delivers everything, lets timers run and checks the result.
func (s *simulation) settle() {
	s.sides[0].failing, s.sides[1].failing = 0, 0
	for round := 0; ; round++ {
		if round > 1000 {
			s.t.Fatalf("no end: %v %v, wire %v", s.sides[0].n, s.sides[1].n, s.wire)
		}
		switch {
		case len(s.wire[0]) > 0:
			s.sides[0].deliver()
		case len(s.wire[1]) > 0:
			s.sides[1].deliver()
		case s.sides[0].n.Waiting():
			s.sides[0].handle(OfferTimedOut{}, message{})
		case s.sides[1].n.Waiting():
			s.sides[1].handle(OfferTimedOut{}, message{})
		default:
			s.check()
			return
		}
	}
}

func (s *simulation) check() {
	for i, d := range s.sides {
		if d.n.State != Stable {
			s.t.Fatalf("side %d ends in %v", i, d.n.State)
		}
		for _, c := range d.changes {
			if !c.done {
				s.t.Fatalf("side %d: change %s is never resolved", i, c.section)
			}
			for _, at := range s.sides {
				if c.err == nil && !slices.Contains(at.sections, c.section) {
					s.t.Fatalf("side %d: change %s is reported as done, and side %d does not have it: %v", i, c.section, at.index, at.sections)
				}
			}
		}
	}
	// One more change of each side must come through: whatever has failed before, the call can be
	// negotiated anew, and then both have the same sections.
	for _, d := range s.sides {
		c := d.change()
		for rounds := 0; !c.done || len(s.wire[0])+len(s.wire[1]) > 0 || s.sides[0].n.Waiting() || s.sides[1].n.Waiting(); rounds++ {
			switch {
			case rounds > 1000:
				s.t.Fatalf("side %d: the last change has no end", d.index)
			case len(s.wire[0]) > 0:
				s.sides[0].deliver()
			case len(s.wire[1]) > 0:
				s.sides[1].deliver()
			case s.sides[0].n.Waiting():
				s.sides[0].handle(OfferTimedOut{}, message{})
			default:
				s.sides[1].handle(OfferTimedOut{}, message{})
			}
		}
		if c.err != nil {
			s.t.Fatalf("side %d: a change on a good wire failed: %v", d.index, c.err)
		}
	}
	if a, b := s.sides[0].sections, s.sides[1].sections; !slices.Equal(a, b) {
		s.t.Fatalf("the sides have different sections: %v and %v", a, b)
	}
}

// change wants one more section.
func (d *side) change() *change {
	d.made++
	c := &change{section: fmt.Sprintf("%d.%d", d.index, d.made)}
	d.changes, d.queued = append(d.changes, c), append(d.queued, c)
	d.handle(Needed{}, message{})
	return c
}

func (d *side) deliver() {
	m := d.wire[d.index][0]
	d.wire[d.index] = d.wire[d.index][1:]
	switch m.kind {
	case "offer":
		d.handle(RemoteOffer{m.number, m.processed, d.polite()}, m)
	case "answer":
		d.handle(RemoteAnswer{m.number}, m)
	case "reject":
		d.handle(OfferRejected{m.number}, m)
	}
}

func (d *side) send(m message) { d.wire[1-d.index] = append(d.wire[1-d.index], m) }

// fails reports whether the next description cannot be applied.
func (d *side) fails() bool {
	if d.failing > 0 {
		d.failing--
		return true
	}
	return false
}

func (d *side) handle(e Event, m message) {
	next, actions := d.n.Next(e)
	if trace {
		d.t.Logf("side %d: %T%v %v -> %v %v", d.index, e, e, m, next.State, actions)
	}
	d.n = next
	for _, a := range actions {
		d.carryOut(a, m)
	}
}

func (d *side) carryOut(a Action, m message) {
	switch a {
	case CreateOffer:
		d.pending, d.queued = append(d.pending, d.queued...), nil
		if d.fails() {
			d.handle(OfferFailed{}, message{})
			return
		}
		d.out = slices.Clone(d.sections)
		for _, s := range d.leftover {
			if !slices.Contains(d.out, s) {
				d.out = append(d.out, s)
			}
		}
		for _, c := range d.pending {
			if !slices.Contains(d.out, c.section) {
				d.out = append(d.out, c.section)
			}
		}
		d.leftover = slices.Clone(d.out)
		d.send(message{"offer", d.n.OfferID, d.n.Processed, d.out})
	case ResendOffer:
		d.send(message{"offer", d.n.OfferID, d.n.Processed, d.out})
	case RollbackOffer:
		d.queued, d.pending = append(d.pending, d.queued...), nil
	case IgnoreOffer:
		d.deferred = m
	case ApplyDeferredOffer:
		d.apply(d.deferred)
	case ApplyOffer:
		d.apply(m)
	case ResendAnswer:
		d.send(d.answer)
	case ApplyAnswer:
		if d.fails() {
			d.handle(AnswerFailed{}, message{})
			return
		}
		if m.number == 0 && !slices.Equal(m.sections, d.out) { // as CheckAnswer does
			d.handle(AnswerFailed{}, message{})
			return
		}
		if !slices.Equal(m.sections, d.out) {
			d.t.Fatalf("side %d: an answer with %v to an offer with %v is applied", d.index, m.sections, d.out)
		}
		d.sections = d.out
		d.handle(AnswerApplied{}, message{})
	case ConfirmChanges, FailChanges:
		for _, c := range d.pending {
			if c.done {
				d.t.Fatalf("side %d: change %s is resolved twice", d.index, c.section)
			}
			c.done = true
			if a == FailChanges {
				c.err = errSimulated
			}
		}
		d.pending = nil
	}
}

// apply answers an offer. One that lacks a section which is in force is rejected, as every peer
// does.
func (d *side) apply(m message) {
	prefix := len(m.sections) >= len(d.sections) && slices.Equal(m.sections[:len(d.sections)], d.sections)
	if d.fails() || !prefix {
		d.answer = message{"reject", m.number, 0, nil}
		d.send(d.answer)
		d.handle(RemoteOfferFailed{}, message{})
		return
	}
	d.sections = m.sections
	d.answer = message{"answer", m.number, 0, m.sections}
	d.send(d.answer)
	d.handle(AnswerSent{}, message{})
}
