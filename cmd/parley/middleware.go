package main

import (
	"context"

	"parley/signal"
)

// A middleware is between a call and the signaling server. The first one of a call is next to the
// call. A middleware may change, delay, repeat or drop what it gets.
type middleware interface {
	// send sends a message of the call by next.
	send(ctx context.Context, m signal.Message, next sendFunc) error
	// deliver delivers a message of the peer to the call by next.
	deliver(m signal.Message, next deliverFunc)
}

type (
	sendFunc    func(context.Context, signal.Message) error
	deliverFunc func(signal.Message)
)

// sendBy returns a function that sends through all of some middleware, and then by last.
func sendBy(all []middleware, last sendFunc) sendFunc {
	for i := len(all) - 1; i >= 0; i-- {
		m, next := all[i], last
		last = func(ctx context.Context, message signal.Message) error { return m.send(ctx, message, next) }
	}
	return last
}

// deliverBy returns a function that delivers through all of some middleware, and then by last.
func deliverBy(all []middleware, last deliverFunc) deliverFunc {
	for _, m := range all {
		next := last
		last = func(message signal.Message) { m.deliver(message, next) }
	}
	return last
}
