package peer

// negotiation is the state of offer and answer (RFC 9429 §3.2), without Pion:
// next says what to do, the call does it.
type negotiation struct {
	phase phase
	// again: another offer is wanted as soon as the phase is stable.
	again bool
	// wins: in glare with another parley our offer stands.
	wins bool
	// established: offer and answer have been exchanged at least once.
	established bool
	// parley: the other side breaks ties by name, as we do.
	parley bool
	// wished: we asked the other side for an offer that has not come.
	wished bool
}

// phase is the signaling state as far as this side can leave it: an offer that
// came in is answered at once, so there is no have-remote-offer.
type phase int

const (
	stable   phase = iota
	offering       // our offer is out, its answer is not in
)

// negotiationEvent is something that the negotiation has to react to.
type negotiationEvent int

const (
	wantOffer      negotiationEvent = iota // something of ours is to be negotiated
	foreignOffer                           // an offer of a peer that rolls back by itself
	parleyOffer                            // an offer of a peer that breaks ties by name
	foreignAnswer                          // an answer of such a peer
	parleyAnswer                           // an answer of a parley
	splitAnswer                            // an answer that divides our first offer
	answerRejected                         // the answer could not be applied
	theirWish                              // a parley that makes no offers asks for one
	wishRefused                            // the offer that we asked for will not come
	overtaken                              // an offer came while our first was made, which is not sent yet
)

// negotiationAction is what the call has to do, in the order given.
type negotiationAction int

const (
	makeOffer    negotiationAction = iota // create, set and send an offer
	takeOffer                             // set the offer that came, send an answer
	takeAnswer                            // set the answer that came
	separate                              // divide the connection as the answer does, create, set and send an offer anew
	startOver                             // replace the connection by a new one, our offer is void
	ignoreOffer                           // drop the offer that came and its candidates
	ignoreAnswer                          // drop the answer that came
	makeWish                              // ask the other side for an offer
)

// next returns the state after e and what has to be done.
func (n negotiation) next(e negotiationEvent) (negotiation, []negotiationAction) {
	switch e {
	case wantOffer:
		if n.phase == offering {
			n.again = true
			return n, nil
		}
		if n.yields() {
			return n.wish(nil)
		}
		n.phase = offering
		return n, []negotiationAction{makeOffer}
	case theirWish:
		// Not while another offer is out: its answer may not fit the wish.
		if n.phase == stable && !n.yields() {
			n.phase = offering
			return n, []negotiationAction{makeOffer}
		}
		n.again = n.phase == offering
	case foreignOffer, parleyOffer:
		return n.offered(e)
	case foreignAnswer, parleyAnswer:
		if n.phase != offering {
			return n, []negotiationAction{ignoreAnswer}
		}
		n.parley = e == parleyAnswer
		n.phase, n.established = stable, true
		return n.settled([]negotiationAction{takeAnswer})
	case splitAnswer:
		if n.phase != offering {
			return n, []negotiationAction{ignoreAnswer}
		}
		return n, []negotiationAction{separate}
	case answerRejected:
		n.phase = stable
	case overtaken:
		n.phase = stable
		return n, []negotiationAction{startOver}
	case wishRefused:
		return n.settled(nil)
	}
	return n, nil
}

// offered decides on an offer of the peer, which is glare while ours is out.
func (n negotiation) offered(e negotiationEvent) (negotiation, []negotiationAction) {
	n.parley = e == parleyOffer
	if n.phase == stable {
		n.established = true
		return n.settled([]negotiationAction{takeOffer})
	}
	if e == foreignOffer || n.wins || n.established {
		return n, []negotiationAction{ignoreOffer}
	}
	n.phase, n.established = stable, true
	return n.settled([]negotiationAction{startOver, takeOffer})
}

// yields tells that the other side makes the offers from now on: in a call that
// is up neither of two parleys could take an offer back in a glare, so the one
// that would lose it makes none, and asks for one instead (wish.go).
func (n negotiation) yields() bool { return n.established && n.parley && !n.wins }

// wish asks for an offer, unless that has been done and it is not there yet.
func (n negotiation) wish(actions []negotiationAction) (negotiation, []negotiationAction) {
	if n.wished {
		n.again = true
		return n, actions
	}
	n.wished, n.again = true, false
	return n, append(actions, makeWish)
}

// settled adds the offer that was put off until the phase is stable.
func (n negotiation) settled(actions []negotiationAction) (negotiation, []negotiationAction) {
	n.wished = false
	switch {
	case !n.again:
		return n, actions
	case n.yields():
		return n.wish(actions)
	}
	n.again, n.phase = false, offering
	return n, append(actions, makeOffer)
}
