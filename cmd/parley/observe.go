package main

import (
	"context"

	"parley/cmd/parley/internal/event"
	"parley/peer"
	"parley/peer/datachannel"
	"parley/peer/stats"
	"parley/signal"
)

// An observer is a set of functions that are called as things happen in a call. Nil functions are
// not called. They return soon: the call waits for them.
type observer struct {
	peerEvent   func(peer.Event)                    // on the goroutine of the call, before the call handles the event
	value       func(key string, value event.Value) // each value of a key of --expect, from any goroutine
	measurement func()                              // every measureInterval
	event       func(event.Event)                   // each event that is reported
	wantsStats  func() bool                         // reports whether event has a use for statistics
	stats       func(stats.Report)                  // each report of statistics
	end         func()                              // after the last event
}

// observers are those of one call, in the order in which they were added.
type observers []observer

// observe adds an observer, before the call begins.
func (c *session) observe(o observer) { c.observers = append(c.observers, o) }

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

// intercept adds a middleware, before the call begins.
func (c *session) intercept(m middleware) { c.middleware = append(c.middleware, m) }

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

// A channelHandler handles data channels that open, on the goroutine of the call. It reports whether it
// has taken the channel.
type channelHandler func(*datachannel.Channel) (taken bool)

// serveChannels adds a channel application, before the call begins.
func (c *session) serveChannels(a channelHandler) { c.apps = append(c.apps, a) }

func (all observers) notifyPeerEvent(e peer.Event) {
	for _, o := range all {
		if o.peerEvent != nil {
			o.peerEvent(e)
		}
	}
}

func (all observers) notifyValue(key string, value event.Value) {
	for _, o := range all {
		if o.value != nil {
			o.value(key, value)
		}
	}
}

func (all observers) notifyMeasurement() {
	for _, o := range all {
		if o.measurement != nil {
			o.measurement()
		}
	}
}

func (all observers) notifyStats(r stats.Report) {
	for _, o := range all {
		if o.stats != nil {
			o.stats(r)
		}
	}
}

// takesStats reports whether an observer has a use for an event with statistics.
func (all observers) takesStats() bool {
	for _, o := range all {
		if o.stats != nil || o.wantsStats != nil && o.wantsStats() {
			return true
		}
	}
	return false
}

// observed reports whether an observer wants to know of each measurement.
func (all observers) observed() bool {
	for _, o := range all {
		if o.measurement != nil {
			return true
		}
	}
	return false
}

func (all observers) notifyEnd() {
	for _, o := range all {
		if o.end != nil {
			o.end()
		}
	}
}

func (all observers) notifyEvent(e event.Event) {
	for _, o := range all {
		if o.event != nil {
			o.event(e)
		}
	}
}

// emit reports an event of the call.
func (c *session) emit(e event.Event) {
	c.observers.notifyEvent(e)
	c.report.Report(e)
}
