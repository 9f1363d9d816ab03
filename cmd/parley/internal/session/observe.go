package session

import (
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/signaling"
	"parley/peer"
	"parley/peer/datachannel"
	"parley/peer/stats"
)

// Observer is a set of functions that are called as things happen in a call. Nil functions are
// not called. They return soon: the call waits for them.
type Observer struct {
	PeerEvent   func(peer.Event)                    // on the goroutine of the call, before the call handles the event
	Value       func(key string, value event.Value) // each value of a key of --expect, from any goroutine
	Measurement func()                              // after what the receivers measure has changed
	Event       func(event.Event)                   // each event that is reported
	WantsStats  func() bool                         // reports whether event has a use for statistics
	Stats       func(stats.Report)                  // each report of statistics
	End         func()                              // after the last event, and once if the call has not begun
}

// observers are those of one call, in the order in which they were added.
type observers []Observer

// Observe adds an observer, before the call begins.
func (c *Session) Observe(o Observer) { c.observers = append(c.observers, o) }

// Intercept adds a middleware, before the call begins.
func (c *Session) Intercept(m signaling.Middleware) { c.middleware = append(c.middleware, m) }

// A ChannelHandler handles data channels that open, on the goroutine of the call. It reports
// whether it has taken the channel.
type ChannelHandler func(*datachannel.Channel) (taken bool)

// ServeChannels adds a channel application, before the call begins.
func (c *Session) ServeChannels(a ChannelHandler) { c.apps = append(c.apps, a) }

func (all observers) notifyPeerEvent(e peer.Event) {
	for _, o := range all {
		if o.PeerEvent != nil {
			o.PeerEvent(e)
		}
	}
}

func (all observers) notifyValue(key string, value event.Value) {
	for _, o := range all {
		if o.Value != nil {
			o.Value(key, value)
		}
	}
}

func (all observers) notifyMeasurement() {
	for _, o := range all {
		if o.Measurement != nil {
			o.Measurement()
		}
	}
}

func (all observers) notifyStats(r stats.Report) {
	for _, o := range all {
		if o.Stats != nil {
			o.Stats(r)
		}
	}
}

// takesStats reports whether an observer has a use for an event with statistics.
func (all observers) takesStats() bool {
	for _, o := range all {
		if o.Stats != nil || o.WantsStats != nil && o.WantsStats() {
			return true
		}
	}
	return false
}

// observed reports whether an observer has a use for measurements.
func (all observers) observed() bool {
	for _, o := range all {
		if o.Measurement != nil {
			return true
		}
	}
	return false
}

func (all observers) notifyEnd() {
	for _, o := range all {
		if o.End != nil {
			o.End()
		}
	}
}

func (all observers) notifyEvent(e event.Event) {
	for _, o := range all {
		if o.Event != nil {
			o.Event(e)
		}
	}
}

// Emit reports an event of the call.
func (c *Session) Emit(e event.Event) {
	c.observers.notifyEvent(e)
	c.resources.Report.Report(e)
}
