package peer

import (
	"math/rand/v2"
	"slices"
	"testing"

	"parley/peer/internal/jsep"
)

func TestNegotiation(t *testing.T) {
	type step struct {
		event negotiationEvent
		want  []negotiationAction
	}
	for name, c := range map[string]struct {
		wins  bool
		steps []step
	}{
		"a call":               {false, []step{{wantOffer, []negotiationAction{makeOffer}}, {parleyAnswer, []negotiationAction{takeAnswer}}}},
		"a call that came":     {false, []step{{foreignOffer, []negotiationAction{takeOffer}}, {foreignOffer, []negotiationAction{takeOffer}}}},
		"an answer to nothing": {false, []step{{parleyAnswer, []negotiationAction{ignoreAnswer}}}},
		"a second answer": {false, []step{
			{wantOffer, []negotiationAction{makeOffer}}, {parleyAnswer, []negotiationAction{takeAnswer}}, {parleyAnswer, []negotiationAction{ignoreAnswer}}}},
		"glare with a browser": {false, []step{
			{wantOffer, []negotiationAction{makeOffer}}, {foreignOffer, []negotiationAction{ignoreOffer}}, {parleyAnswer, []negotiationAction{takeAnswer}}}},
		"glare won": {true, []step{
			{wantOffer, []negotiationAction{makeOffer}}, {parleyOffer, []negotiationAction{ignoreOffer}}, {parleyAnswer, []negotiationAction{takeAnswer}}}},
		"glare lost": {false, []step{
			{wantOffer, []negotiationAction{makeOffer}}, {parleyOffer, []negotiationAction{startOver, takeOffer}}, {parleyAnswer, []negotiationAction{ignoreAnswer}}}},
		"an offer came while ours was made": {true, []step{
			{wantOffer, []negotiationAction{makeOffer}}, {overtaken, []negotiationAction{startOver}}, {foreignOffer, []negotiationAction{takeOffer}}}},
		"the loser of a tie asks for an offer": {false, []step{
			{parleyOffer, []negotiationAction{takeOffer}}, {wantOffer, []negotiationAction{makeWish}}, {parleyOffer, []negotiationAction{takeOffer}}}},
		"many wishes of the loser are two": {false, []step{
			{parleyOffer, []negotiationAction{takeOffer}}, {wantOffer, []negotiationAction{makeWish}}, {wantOffer, nil}, {wantOffer, nil},
			{parleyOffer, []negotiationAction{takeOffer, makeWish}}, {parleyOffer, []negotiationAction{takeOffer}}}},
		"a wish is granted": {true, []step{
			{parleyOffer, []negotiationAction{takeOffer}}, {theirWish, []negotiationAction{makeOffer}}, {theirWish, nil},
			{parleyAnswer, []negotiationAction{takeAnswer, makeOffer}}, {parleyAnswer, []negotiationAction{takeAnswer}}}},
		"the winner of a tie offers again": {true, []step{
			{parleyOffer, []negotiationAction{takeOffer}}, {wantOffer, []negotiationAction{makeOffer}}, {parleyAnswer, []negotiationAction{takeAnswer}}}},
		"a browser takes any offer": {false, []step{
			{foreignOffer, []negotiationAction{takeOffer}}, {wantOffer, []negotiationAction{makeOffer}}, {foreignAnswer, []negotiationAction{takeAnswer}}}},
		"many wishes are one offer": {true, []step{
			{wantOffer, []negotiationAction{makeOffer}}, {wantOffer, nil}, {wantOffer, nil},
			{parleyAnswer, []negotiationAction{takeAnswer, makeOffer}}, {parleyAnswer, []negotiationAction{takeAnswer}}}},
		"an answer divides the offer": {false, []step{
			{wantOffer, []negotiationAction{makeOffer}}, {splitAnswer, []negotiationAction{separate}}, {wantOffer, nil}, {foreignOffer, []negotiationAction{ignoreOffer}},
			{foreignAnswer, []negotiationAction{takeAnswer, makeOffer}}}},
		"an answer that divides nothing": {false, []step{{splitAnswer, []negotiationAction{ignoreAnswer}}}},
		"a refused answer frees the next offer": {false, []step{
			{wantOffer, []negotiationAction{makeOffer}}, {answerRejected, nil}, {wantOffer, []negotiationAction{makeOffer}}}},
	} {
		t.Run(name, func(t *testing.T) {
			n := negotiation{wins: c.wins}
			for i, s := range c.steps {
				var got []negotiationAction
				if n, got = n.next(s.event); !slices.Equal(got, s.want) {
					t.Fatalf("step %d: %v, want %v", i+1, got, s.want)
				}
			}
		})
	}
}

// FuzzNegotiation lets two parleys offer whenever they like, with messages under
// way as long as they like but in order; in the end both are stable, and one's
// offer is the other's.
func FuzzNegotiation(f *testing.F) {
	for seed := range uint64(50) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 1))
		m := &model{t: t}
		m.sides[0].state.wins = true
		wishes := 1 + random.IntN(8)
		for wishes > 0 || len(m.sides[0].inbox)+len(m.sides[1].inbox) > 0 {
			i := random.IntN(2)
			switch s := &m.sides[i]; {
			case wishes > 0 && random.IntN(2) == 0:
				m.handle(i, message{event: wantOffer})
				wishes--
			case len(s.inbox) > 0:
				next := s.inbox[0]
				s.inbox = s.inbox[1:]
				m.handle(i, next)
			}
		}
		a, b := &m.sides[0], &m.sides[1]
		if a.state.again || b.state.again || b.state.wished {
			t.Errorf("seed %d: something is still wanted: %+v, %+v", seed, a.state, b.state)
		}
		if a.state.phase != stable || b.state.phase != stable {
			t.Errorf("seed %d: phases %v and %v", seed, a.state.phase, b.state.phase)
		}
		if a.agreed != b.agreed || a.agreed == 0 {
			t.Errorf("seed %d: agreed on offers %d and %d", seed, a.agreed, b.agreed)
		}
	})
}

// model is two sides and what is under way between them.
type model struct {
	t      *testing.T
	sides  [2]modelSide
	offers int
}

type modelSide struct {
	state           negotiation
	inbox           []message
	pending, agreed int // numbers of offers
}

type message struct {
	event negotiationEvent
	offer int
}

func (m *model) handle(i int, in message) {
	self, other := &m.sides[i], &m.sides[1-i]
	if in.event == parleyAnswer && self.pending != in.offer && self.state.phase == offering {
		m.t.Fatalf("an answer to offer %d came while %d is out", in.offer, self.pending)
	}
	var actions []negotiationAction
	self.state, actions = self.state.next(in.event)
	for _, a := range actions {
		switch a {
		case makeOffer:
			if !self.state.established && slices.ContainsFunc(self.inbox, func(in message) bool { return in.event == parleyOffer }) {
				self.state, _ = self.state.next(overtaken)
				continue
			}
			m.offers++
			self.pending = m.offers
			other.inbox = append(other.inbox, message{parleyOffer, m.offers})
		case makeWish:
			other.inbox = append(other.inbox, message{event: theirWish})
		case takeOffer:
			self.agreed, self.pending = in.offer, 0
			other.inbox = append(other.inbox, message{parleyAnswer, in.offer})
		case takeAnswer:
			self.agreed, self.pending = in.offer, 0
		}
	}
}

// Janus copies the session name of an offer to its answer.
func TestACopiedNameMakesNoParley(t *testing.T) {
	d := &jsep.Description{Dialect: jsep.Dialect{Parley: true}}
	if got := eventOf(d, false); got != foreignAnswer {
		t.Errorf("an answer with the name of an offer is %v", got)
	}
}
