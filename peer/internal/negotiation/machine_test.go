package negotiation

import (
	"slices"
	"testing"
)

func TestNegotiation(t *testing.T) {
	steps := func(e ...Event) []Event { return e }
	acts := func(a ...Action) []Action { return a }
	up := steps(Needed{}, RemoteAnswer{1}, AnswerApplied{}) // an established call in which this side has offered
	lost := steps(OfferTimedOut{}, OfferTimedOut{}, OfferTimedOut{}, OfferTimedOut{})
	for _, c := range []struct {
		name  string
		from  []Event
		event Event
		state State
		want  []Action
	}{
		{"change", nil, Needed{}, HaveLocalOffer, acts(CreateOffer)},
		{"change while an offer is out", steps(Needed{}), Needed{}, HaveLocalOffer, nil},
		{"answer", steps(Needed{}), RemoteAnswer{1}, HaveLocalOffer, acts(ApplyAnswer)},
		{"answer applied", steps(Needed{}, RemoteAnswer{1}), AnswerApplied{}, Stable, acts(ConfirmChanges)},
		{"answer applied, more changes", steps(Needed{}, Needed{}, RemoteAnswer{1}), AnswerApplied{}, HaveLocalOffer,
			acts(ConfirmChanges, CreateOffer)},
		{"answer of another offer", slices.Concat(up, steps(Needed{})), RemoteAnswer{1}, HaveLocalOffer, acts(IgnoreAnswer)},
		{"answer twice", up, RemoteAnswer{1}, Stable, acts(IgnoreAnswer)},
		{"answer without an offer", nil, RemoteAnswer{}, Stable, acts(IgnoreAnswer)},
		{"offer", nil, RemoteOffer{Number: 1}, HaveRemoteOffer, acts(ApplyOffer)},
		{"offer twice", steps(RemoteOffer{Number: 1}, AnswerSent{}), RemoteOffer{Number: 1}, Stable, acts(ResendAnswer)},
		{"offer twice, answer held", steps(RemoteOffer{Number: 1}), RemoteOffer{Number: 1}, HaveRemoteOffer, acts(DropOffer)},
		{"offer twice while ours is out", steps(RemoteOffer{Number: 1}, AnswerSent{}, Needed{}), RemoteOffer{Number: 1}, HaveLocalOffer,
			acts(ResendAnswer)},
		{"late offer", steps(RemoteOffer{Number: 2}, AnswerSent{}), RemoteOffer{Number: 1}, Stable, acts(DropOffer)},
		{"newer offer, answer held", steps(RemoteOffer{Number: 1}), RemoteOffer{Number: 2}, HaveRemoteOffer, acts(ApplyOffer)},
		{"change, answer held", steps(RemoteOffer{Number: 1}), Needed{}, HaveRemoteOffer, nil},
		{"change waited for the answer", steps(RemoteOffer{Number: 1}, Needed{}), AnswerSent{}, HaveLocalOffer, acts(CreateOffer)},
		{"glare, polite", slices.Concat(up, steps(Needed{})), RemoteOffer{1, 1, true}, HaveRemoteOffer, acts(RollbackOffer, ApplyOffer)},
		{"glare, polite, then ours", slices.Concat(up, steps(Needed{}, RemoteOffer{1, 1, true})), AnswerSent{}, HaveLocalOffer, acts(CreateOffer)},
		{"glare of first offers, polite: the answer has all", steps(Needed{}, RemoteOffer{1, 0, true}), AnswerSent{Complete: true}, Stable, nil},
		{"glare, impolite", steps(Needed{}), RemoteOffer{1, 0, false}, HaveLocalOffer, acts(IgnoreOffer)},
		{"glare, impolite, answered after all", steps(Needed{}, RemoteOffer{}, RemoteAnswer{}), AnswerApplied{}, Stable, acts(ConfirmChanges)},
		{"glare with a peer that does not yield", slices.Concat(up, steps(Needed{}, RemoteOffer{})), OfferTimedOut{}, HaveRemoteOffer,
			acts(RollbackOffer, ApplyDeferredOffer)},
		{"glare with a peer that does not yield, after retransmissions", slices.Concat(up, steps(Needed{}), lost[:3], steps(RemoteOffer{})), OfferTimedOut{},
			HaveRemoteOffer, acts(RollbackOffer, ApplyDeferredOffer)},
		{"glare with a peer that does not yield, then ours", slices.Concat(up, steps(Needed{}, RemoteOffer{}, OfferTimedOut{})), AnswerSent{}, HaveLocalOffer,
			acts(CreateOffer)},
		{"glare with a peer that does not yield, its offer failed", slices.Concat(up, steps(Needed{}, RemoteOffer{}, OfferTimedOut{})), RemoteOfferFailed{},
			HaveLocalOffer, acts(CreateOffer)},
		{"glare with a peer that does not yield, late answer to ours", slices.Concat(up, steps(Needed{}, RemoteOffer{}, OfferTimedOut{})), RemoteAnswer{},
			HaveRemoteOffer, acts(IgnoreAnswer)},
		{"glare with a peer that yields, then a time-out", slices.Concat(up, steps(Needed{}, RemoteOffer{}, RemoteAnswer{}, AnswerApplied{}, Needed{})),
			OfferTimedOut{}, HaveLocalOffer, acts(ResendOffer)},
		{"first time-out", steps(Needed{}), OfferTimedOut{}, HaveLocalOffer, acts(ResendOffer)},
		{"last time-out", slices.Concat(steps(Needed{}), lost[:3]), OfferTimedOut{}, HaveLocalOffer, acts(FailChanges)},
		{"last time-out, foreign", slices.Concat(steps(RemoteOffer{}, AnswerSent{}, Needed{}), lost[:3]), OfferTimedOut{}, Stable, acts(FailChanges)},
		{"change after a time-out", slices.Concat(steps(Needed{}), lost), Needed{}, HaveLocalOffer, acts(CreateOffer)},
		{"crossing offer after a time-out, impolite", slices.Concat(steps(Needed{}), lost), RemoteOffer{Number: 1}, HaveLocalOffer, acts(IgnoreOffer, ResendOffer)},
		{"crossing offer twice after a time-out, impolite", slices.Concat(steps(Needed{}), lost, steps(RemoteOffer{Number: 1})), RemoteOffer{Number: 1}, HaveLocalOffer,
			acts(IgnoreOffer)},
		{"crossing offers after two time-outs, impolite", slices.Concat(steps(Needed{}), lost, steps(RemoteOffer{Number: 1}, OfferTimedOut{})), RemoteOffer{Number: 1},
			HaveLocalOffer, acts(IgnoreOffer, ResendOffer)},
		{"crossing offer after a time-out, polite", slices.Concat(steps(Needed{}), lost), RemoteOffer{1, 0, true}, HaveRemoteOffer, acts(RollbackOffer, ApplyOffer)},
		{"offer after a time-out, polite, and then ours cannot be made", slices.Concat(steps(Needed{}), lost, steps(RemoteOffer{1, 0, true}, AnswerSent{})),
			OfferFailed{}, Stable, acts(FailChanges)},
		{"offer after a time-out, foreign", slices.Concat(steps(RemoteOffer{}, AnswerSent{}, Needed{}), lost), RemoteOffer{}, HaveRemoteOffer, acts(ApplyOffer)},
		{"answer after a time-out", slices.Concat(steps(Needed{}), lost), RemoteAnswer{1}, HaveLocalOffer, acts(ApplyAnswer)},
		{"answer after a time-out, foreign", slices.Concat(steps(RemoteOffer{}, AnswerSent{}, Needed{}), lost), RemoteAnswer{}, Stable, acts(IgnoreAnswer)},
		{"offer that was made after ours was answered", steps(Needed{}), RemoteOffer{1, 1, false}, HaveRemoteOffer, acts(RollbackOffer, ApplyOffer)},
		{"offer that the peer has dropped for ours", up, RemoteOffer{1, 0, false}, Stable, acts(DropOffer)},
		{"time-out in stable", up, OfferTimedOut{}, Stable, nil},
		{"answer failed", slices.Concat(up, steps(Needed{}, RemoteAnswer{2})), AnswerFailed{}, HaveLocalOffer, acts(FailChanges, CreateOffer)},
		{"answer failed again", slices.Concat(up, steps(Needed{}, RemoteAnswer{2}, AnswerFailed{}, RemoteAnswer{3})), AnswerFailed{}, Stable,
			acts(FailChanges)},
		{"first answer failed", steps(Needed{}, RemoteAnswer{1}), AnswerFailed{}, Stable, acts(FailChanges)},
		{"rejected", slices.Concat(up, steps(Needed{})), OfferRejected{2}, Stable, acts(FailChanges)},
		{"rejected, more changes", slices.Concat(up, steps(Needed{}, Needed{})), OfferRejected{2}, HaveLocalOffer, acts(FailChanges, CreateOffer)},
		{"another offer rejected", slices.Concat(up, steps(Needed{})), OfferRejected{1}, HaveLocalOffer, acts(IgnoreAnswer)},
		{"offer failed", slices.Concat(up, steps(Needed{})), OfferFailed{}, Stable, acts(FailChanges)},
		{"peer's offer failed", slices.Concat(up, steps(RemoteOffer{1, 1, true})), RemoteOfferFailed{}, Stable, nil},
		{"peer's offer failed, changes wait", slices.Concat(up, steps(RemoteOffer{1, 1, true}, Needed{})), RemoteOfferFailed{}, HaveLocalOffer, acts(CreateOffer)},
		{"withdrawn", steps(Needed{}), Rollback{}, Stable, acts(RollbackOffer)},
		{"signaling restored", steps(Needed{}), SignalingRestored{}, HaveLocalOffer, acts(ResendOffer)},
		{"signaling restored in stable", up, SignalingRestored{}, Stable, nil},
		{"undelivered", steps(Needed{}), OfferUndelivered{}, HaveLocalOffer, acts(ResendOffer)},
		{"undelivered in stable", up, OfferUndelivered{}, Stable, nil},
		{"answers without numbers: undelivered offers have none", steps(Needed{}, OfferUndelivered{}, OfferUndelivered{}, RemoteAnswer{}, AnswerApplied{}),
			Needed{}, HaveLocalOffer, acts(CreateOffer)},
		{"answers without numbers: the next offer waits for the second", steps(Needed{}, OfferTimedOut{}, RemoteAnswer{}, AnswerApplied{}), Needed{},
			Stable, nil},
		{"answers without numbers: the second has come", steps(Needed{}, OfferTimedOut{}, RemoteAnswer{}, AnswerApplied{}, Needed{}), RemoteAnswer{},
			HaveLocalOffer, acts(IgnoreAnswer, CreateOffer)},
		{"answers without numbers: the second is lost", steps(Needed{}, OfferTimedOut{}, RemoteAnswer{}, AnswerApplied{}, Needed{}), OfferTimedOut{},
			HaveLocalOffer, acts(CreateOffer)},
	} {
		var n Machine
		for _, e := range c.from {
			n, _ = n.Next(e)
		}
		n, got := n.Next(c.event)
		if n.State != c.state || !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v %v, want %v %v", c.name, n.State, got, c.state, c.want)
		}
	}
}
