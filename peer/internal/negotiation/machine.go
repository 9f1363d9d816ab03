// Package negotiation decides what follows an offer, an answer, a failure or a time-out: the
// offer/answer state machine of JSEP (RFC 9429 section 3.2).
package negotiation

// State is the signaling state of one side (RFC 9429 section 3.2).
type State int

// The signaling states. An offer of the peer is answered at once, but the answer may wait for
// candidates, so HaveRemoteOffer can last.
const (
	Stable State = iota
	HaveLocalOffer
	HaveRemoteOffer
)

func (s State) String() string {
	switch s {
	case Stable:
		return "stable"
	case HaveLocalOffer:
		return "have-local-offer"
	case HaveRemoteOffer:
		return "have-remote-offer"
	}
	return "unknown"
}

// MaxOffers is how often an offer is sent before it is given up.
const MaxOffers = 4

// maxFailures is how many answers in a row may be unusable before no further offer is made to
// repair the damage.
const maxFailures = 2

// Machine is the offer/answer state machine of one side: a value without a PeerConnection, a
// clock or a wire. Next returns the state after an event and what the owner has to do. The zero
// value is the state before any description.
//
// The rules are those of RFC 9429 with the glare rule of W3C's perfect negotiation: of two
// offers that cross, the polite side drops its own and answers, and the impolite side ignores
// the other. Failure, time-out and duplicates are events like any other.
//
// A peer that is a parley numbers its offers, names the number in answers, and says in each offer
// which offer of this side it has processed last. So it is known whether an offer was
// made before or after one of this side, in whatever order and how often messages come, and an
// offer stays out until the peer has processed it or a newer one. With other peers an offer that is
// not answered in time is void, and the rest is a matter of an ordered wire. Such a peer is
// expected to yield when offers cross; if it does not answer until the first time-out, this side
// rolls back and answers.
type Machine struct {
	State State
	// Established reports whether an offer and its answer have been applied once.
	Established bool
	// OfferID is the number of the latest offer of this side.
	OfferID uint64
	// Processed is the number of the peer's latest offer that was answered or rejected, or is being
	// answered. It goes with every offer.
	Processed uint64

	needed    bool   // changes wait for an offer
	sent      int    // how often the offer that is out was sent
	expired   bool   // that offer has timed out, its changes have failed
	prompted  bool   // it was sent because an offer of the peer came, since the last time-out
	replaces  uint64 // number of an expired offer that it takes the place of, 0 for none
	processed uint64 // number of the latest offer of this side that the peer has answered or rejected
	foreign   bool   // the peer does not number its offers
	deferred  bool   // an offer of a foreign peer was ignored, and may be answered if ours fails
	excess    int    // answers of a foreign peer to retransmissions of an answered offer, still to come
	failures  int    // answers in a row that could not be applied
}

// An Event is something that Next has to react to.
type Event interface{ event() }

// The events.
type (
	// Needed: this side has changes that need an offer.
	Needed struct{}

	// RemoteOffer: an offer of the peer has come. Number is its number, 0 from a peer that does
	// not number its offers, and Processed the number of this side's latest offer that the peer had
	// processed. Polite reports whether this side yields if the offer crosses its own.
	RemoteOffer struct {
		Number, Processed uint64
		Polite            bool
	}

	// AnswerSent: the answer to the peer's offer was applied and handed to signaling. Complete
	// reports that it has all changes that waited, as the answer to a first offer has.
	AnswerSent struct{ Complete bool }

	// RemoteOfferFailed: the peer's offer, or the answer to it, could not be applied. The owner
	// has rejected it.
	RemoteOfferFailed struct{}

	// RemoteAnswer: an answer has come. Number is that of the offer that it answers, 0 from
	// a peer that does not number.
	RemoteAnswer struct{ Number uint64 }

	// AnswerApplied: the peer's answer was applied.
	AnswerApplied struct{}

	// AnswerFailed: the peer's answer could not be applied.
	AnswerFailed struct{}

	// OfferRejected: the peer has not accepted the offer of this number and keeps what was in
	// force.
	OfferRejected struct{ Number uint64 }

	// OfferFailed: the offer could not be made.
	OfferFailed struct{}

	// OfferTimedOut: the time for an answer, or for the answers to retransmissions, is over.
	OfferTimedOut struct{}

	// SignalingRestored: messages to the peer may have been lost, and arrive again.
	SignalingRestored struct{}

	// OfferUndelivered: the offer did not reach the peer, so one answer is expected to the next
	// transmission.
	OfferUndelivered struct{}

	// OfferReplaced: the offer that is out is replaced by another one with the same changes.
	OfferReplaced struct{}

	// Rollback: the offer, which was not sent yet, is withdrawn because an offer of the peer has
	// come in the meantime.
	Rollback struct{}
)

func (Needed) event()            {}
func (RemoteOffer) event()       {}
func (AnswerSent) event()        {}
func (RemoteOfferFailed) event() {}
func (RemoteAnswer) event()      {}
func (AnswerApplied) event()     {}
func (AnswerFailed) event()      {}
func (OfferRejected) event()     {}
func (OfferFailed) event()       {}
func (OfferTimedOut) event()     {}
func (SignalingRestored) event() {}
func (OfferUndelivered) event()  {}
func (OfferReplaced) event()     {}
func (Rollback) event()          {}

// Action is what the owner of a Machine has to do.
type Action int

// The actions. The owner carries them out in order.
const (
	// CreateOffer: create an offer with all changes that wait, and send it with OfferID. The owner
	// reports OfferFailed if there is none.
	CreateOffer Action = iota
	// ResendOffer: send the offer that is out again.
	ResendOffer
	// RollbackOffer: drop the offer that is out. Its changes wait for the next one.
	RollbackOffer
	// ApplyOffer: apply the peer's offer, and send an answer. The owner reports AnswerSent, or
	// RemoteOfferFailed once it has rejected the offer.
	ApplyOffer
	// ApplyDeferredOffer is ApplyOffer of the offer that was ignored last.
	ApplyDeferredOffer
	// ResendAnswer: send the latest answer, or rejection, again.
	ResendAnswer
	// ApplyAnswer: apply the peer's answer. The owner reports AnswerApplied or AnswerFailed.
	ApplyAnswer
	// ConfirmChanges: the changes in the offer have come about at both ends.
	ConfirmChanges
	// FailChanges: undo the changes in the offer, which is void, and report them as failed.
	FailChanges
	// IgnoreOffer: keep the peer's offer aside, it crosses that of this side. The previous one is
	// dropped.
	IgnoreOffer
	// DropOffer: the peer's offer is older than one that was answered, or is being answered.
	DropOffer
	// IgnoreAnswer: drop the answer, it answers nothing that is out.
	IgnoreAnswer
)

func (a Action) String() string {
	return [...]string{
		"create offer", "resend offer", "roll back offer", "apply offer", "apply deferred offer", "resend answer", "apply answer",
		"confirm changes", "fail changes", "ignore offer", "drop offer", "ignore answer",
	}[a]
}

// Next returns the state after an event, and what the owner has to do.
func (n Machine) Next(e Event) (Machine, []Action) {
	switch e := e.(type) {
	case Needed:
		n.needed = true
		return n.offerIfNeeded(nil)
	case RemoteOffer:
		return n.remoteOffer(e)
	case RemoteAnswer:
		return n.remoteAnswer(e)
	case OfferTimedOut:
		return n.timedOut()
	case AnswerSent, RemoteOfferFailed:
		if n.State != HaveRemoteOffer {
			return n, nil
		}
		n.State = Stable
		if sent, ok := e.(AnswerSent); ok {
			n.Established = true
			n.needed = n.needed && !sent.Complete
		}
		return n.offerIfNeeded(nil)
	}
	if n.State != HaveLocalOffer {
		return n, nil
	}
	switch e := e.(type) {
	case AnswerApplied:
		n.Established, n.failures, n.deferred, n.processed = true, 0, false, n.OfferID
		if n.foreign {
			n.excess = n.sent - 1
		}
		return n.closeOffer(ConfirmChanges)
	case AnswerFailed:
		// The peer has applied the offer. Another one makes both ends agree again.
		n.failures++
		n.needed = n.needed || n.Established && n.failures < maxFailures
		n.processed = n.OfferID
		return n.closeOffer(FailChanges)
	case OfferRejected:
		if e.Number != 0 && e.Number != n.OfferID {
			return n, []Action{IgnoreAnswer}
		}
		n.processed = n.OfferID
		return n.closeOffer(FailChanges)
	case OfferFailed:
		n.withdraw()
		if n.State == HaveLocalOffer {
			return n, []Action{FailChanges}
		}
		return n.closeOffer(FailChanges)
	case SignalingRestored:
		n.sent++
		return n, []Action{ResendOffer}
	case OfferUndelivered:
		n.sent = 1
		return n, []Action{ResendOffer}
	case OfferReplaced:
		n.OfferID++
		n.sent = 1
	case Rollback:
		n.withdraw()
		n.needed = true
		return n, []Action{RollbackOffer}
	}
	return n, nil
}

// withdraw returns to the state before an offer that was not sent.
func (n *Machine) withdraw() {
	n.State, n.OfferID = Stable, n.OfferID-1
	if n.replaces != 0 {
		n.State, n.expired, n.OfferID, n.replaces = HaveLocalOffer, true, n.replaces, 0
	}
}

// remoteOffer decides on an offer of the peer.
func (n Machine) remoteOffer(e RemoteOffer) (Machine, []Action) {
	n.foreign = e.Number == 0
	var actions []Action
	switch {
	case n.foreign:
	case e.Number == n.Processed && n.State != HaveRemoteOffer:
		return n, []Action{ResendAnswer}
	case e.Number <= n.Processed || e.Processed < n.processed:
		return n, []Action{DropOffer} // the peer has dropped it
	}
	if n.State == HaveLocalOffer {
		crossing := n.foreign || e.Processed < n.OfferID
		if crossing && !e.Polite {
			n.deferred = n.foreign // others drop it, and offer again
			if actions = []Action{IgnoreOffer}; n.expired && !n.prompted {
				n.prompted = true
				actions = append(actions, ResendOffer)
			}
			return n, actions
		}
		actions, n.needed, n.expired = append(actions, RollbackOffer), true, false
	}
	n.State, n.deferred, n.excess = HaveRemoteOffer, false, 0
	n.Processed = max(n.Processed, e.Number)
	return n, append(actions, ApplyOffer)
}

// remoteAnswer decides on an answer of the peer.
func (n Machine) remoteAnswer(e RemoteAnswer) (Machine, []Action) {
	switch {
	case n.State == HaveLocalOffer && (e.Number == 0 || e.Number == n.OfferID):
		n.foreign = e.Number == 0
		return n, []Action{ApplyAnswer}
	case n.State == Stable && n.excess > 0 && e.Number == 0:
		n.excess--
		return n.offerIfNeeded([]Action{IgnoreAnswer})
	}
	return n, []Action{IgnoreAnswer}
}

// timedOut sends the offer that is out again, or gives its changes up.
func (n Machine) timedOut() (Machine, []Action) {
	switch {
	case n.State == Stable:
		n.excess = 0
		return n.offerIfNeeded(nil)
	case n.State != HaveLocalOffer:
		return n, nil
	case n.deferred: // the peer does not yield
		n.State, n.deferred, n.needed = HaveRemoteOffer, false, true
		return n, []Action{RollbackOffer, ApplyDeferredOffer}
	case n.sent < MaxOffers || n.expired:
		n.prompted = false
		n.sent++
		return n, []Action{ResendOffer}
	case n.foreign:
		return n.closeOffer(FailChanges)
	}
	n.expired = true
	return n.offerIfNeeded([]Action{FailChanges})
}

// closeOffer returns to stable from an offer that is over, and goes on with what waits: an offer
// of the peer that was ignored for it, else the next offer of this side.
func (n Machine) closeOffer(result Action) (Machine, []Action) {
	n.State, n.expired = Stable, false
	actions := []Action{result}
	if n.deferred {
		n.State, n.deferred = HaveRemoteOffer, false
		return n, append(actions, ApplyDeferredOffer)
	}
	return n.offerIfNeeded(actions)
}

// offerIfNeeded adds an offer of this side to the actions, if changes wait for one and it can be
// made now. It takes the place of an offer that has timed out.
func (n Machine) offerIfNeeded(actions []Action) (Machine, []Action) {
	free := n.State == Stable && n.excess == 0 || n.State == HaveLocalOffer && n.expired
	if !n.needed || !free {
		return n, actions
	}
	n.replaces = 0
	if n.expired {
		n.replaces = n.OfferID
	}
	n.needed, n.expired, n.State, n.sent = false, false, HaveLocalOffer, 1
	n.OfferID++
	return n, append(actions, CreateOffer)
}

// Waiting reports whether the machine waits for the peer, so that the owner has to report
// OfferTimedOut after a while.
func (n Machine) Waiting() bool {
	return n.State == HaveLocalOffer || n.State == Stable && n.excess > 0
}
