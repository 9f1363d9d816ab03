package signaling

import (
	"context"

	"parley/signal"
)

// A Middleware is between a call and the signaling server. The first one of a call is next to the
// call. A middleware may change, delay, repeat or drop what it gets.
type Middleware interface {
	// send sends a message of the call by next.
	Send(ctx context.Context, m signal.Message, next SendFunc) error
	// deliver delivers a message of the peer to the call by next.
	Deliver(m signal.Message, next DeliverFunc)
}

type (
	SendFunc    func(context.Context, signal.Message) error
	DeliverFunc func(signal.Message)
)

// sendBy returns a function that sends through all of some middleware, and then by last.
func sendBy(all []Middleware, last SendFunc) SendFunc {
	for i := len(all) - 1; i >= 0; i-- {
		m, next := all[i], last
		last = func(ctx context.Context, message signal.Message) error { return m.Send(ctx, message, next) }
	}
	return last
}

// DeliverBy returns a function that delivers through all of some middleware, and then by last.
func DeliverBy(all []Middleware, last DeliverFunc) DeliverFunc {
	for _, m := range all {
		next := last
		last = func(message signal.Message) { m.Deliver(message, next) }
	}
	return last
}
