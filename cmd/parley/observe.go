package main

import (
	"parley/cmd/parley/internal/event"
	"parley/peer"
	"parley/peer/datachannel"
	"parley/peer/stats"
)

// An observer is a set of functions that are called as things happen in a call. Nil functions are
// not called. They return soon: the call waits for them.
type observer struct {
	peerEvent   func(peer.Event)                    // on the goroutine of the call, before the call handles the event
	value       func(key string, value event.Value) // each value of a key of --expect, from any goroutine
	measurement func()                              // after what the receivers measure has changed
	event       func(event.Event)                   // each event that is reported
	wantsStats  func() bool                         // reports whether event has a use for statistics
	stats       func(stats.Report)                  // each report of statistics
	end         func()                              // after the last event
}

// observers are those of one call, in the order in which they were added.
type observers []observer

// observe adds an observer, before the call begins.
func (c *session) observe(o observer) { c.observers = append(c.observers, o) }

// intercept adds a middleware, before the call begins.
func (c *session) intercept(m middleware) { c.middleware = append(c.middleware, m) }

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

// observed reports whether an observer has a use for measurements.
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

// Emit reports an event of the call.
func (c *session) Emit(e event.Event) {
	c.observers.notifyEvent(e)
	c.resources.report.Report(e)
}
