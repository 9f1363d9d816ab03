package negotiation

import (
	"slices"
	"testing"
)

// FuzzForeignNegotiation runs a state machine against a browser that follows W3C WebRTC, with a
// page that answers every offer and rolls its own back for it, or ignores offers that cross its
// own; but does not number anything and does not offer again. The wire keeps the order and loses
// nothing, as that of the original servers between two clients that are there; it may be slower
// than the time-outs.
func FuzzForeignNegotiation(f *testing.F) {
	f.Add(true, []byte{0, 2, 3})
	f.Add(true, []byte{0, 4, 4, 2, 3, 3, 0, 2, 3})
	f.Add(true, []byte{0, 1, 2, 3, 2, 3, 4, 4, 4, 4, 2, 3})
	f.Add(false, []byte{0, 2, 3, 1, 0, 3, 2, 4, 2, 3})
	f.Fuzz(func(t *testing.T, yields bool, input []byte) {
		if len(input) > 300 {
			return
		}
		s := newSimulation(t)
		us, page := s.sides[0], &page{simulation: s, yields: yields}
		for _, b := range input {
			switch b % 6 {
			case 0:
				us.change()
			case 1:
				page.offer()
			case 2:
				page.deliver()
			case 3:
				if len(s.wire[0]) > 0 {
					us.deliver()
				}
			case 4:
				us.handle(OfferTimedOut{}, message{})
			case 5:
				us.handle(SignalingRestored{}, message{})
			}
		}
		page.settle(us)
		if page.out != nil {
			t.Fatalf("the offer of the page with %v is never answered", page.out)
		}
		for _, c := range us.changes {
			if !c.done {
				t.Fatalf("change %s is never resolved", c.section)
			}
			if c.err == nil && (!slices.Contains(us.sections, c.section) || !slices.Contains(page.sections, c.section)) {
				t.Fatalf("change %s is reported as done: %v, %v", c.section, us.sections, page.sections)
			}
		}
		if us.n.State != Stable {
			t.Fatalf("the end is %v", us.n.State)
		}
		last := us.change()
		page.settle(us)
		if !last.done || last.err != nil || !slices.Equal(us.sections, page.sections) {
			t.Fatalf("the last change: %+v, with %v and %v", last, us.sections, page.sections)
		}
	})
}

// page is side 1.
type page struct {
	*simulation
	yields   bool // it rolls its offer back for one that crosses it
	sections []string
	out      []string // of its offer, nil for none
	made     int
}

// offer makes an offer with one more section.
func (p *page) offer() {
	if p.out != nil {
		return
	}
	p.made++
	p.out = append(slices.Clone(p.sections), "page"+string(rune('a'+p.made%26)))
	p.send(message{kind: "offer", sections: p.out})
}

// settle delivers everything and lets timers run.
func (p *page) settle(us *side) {
	for round := 0; len(p.wire[0])+len(p.wire[1]) > 0 || us.n.Waiting(); round++ {
		switch {
		case round > 1000:
			p.t.Fatalf("no end: %+v, wire %v", us.n, p.wire)
		case len(p.wire[1]) > 0:
			p.deliver()
		case len(p.wire[0]) > 0:
			us.deliver()
		default:
			us.handle(OfferTimedOut{}, message{})
		}
	}
}

func (p *page) send(m message) { p.wire[0] = append(p.wire[0], m) }

func (p *page) deliver() {
	if len(p.wire[1]) == 0 {
		return
	}
	m := p.wire[1][0]
	p.wire[1] = p.wire[1][1:]
	switch {
	case m.kind == "offer" && p.out != nil && !p.yields:
	case m.kind == "offer":
		p.out = nil
		p.sections = m.sections
		p.send(message{kind: "answer", sections: m.sections})
	case m.kind == "answer" && p.out != nil && slices.Equal(p.out, m.sections):
		p.sections, p.out = p.out, nil
	case m.kind == "reject":
		p.out = nil
	}
}
