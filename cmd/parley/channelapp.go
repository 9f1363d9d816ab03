package main

import (
	"slices"

	"parley/peer/datachannel"
)

// channelApp uses the data channels of a call for something else than lines of
// text.
type channelApp interface {
	// channels are those that the caller opens.
	channels() []datachannel.Options
	// opened gets a channel that no application has taken, on the call's goroutine, and may take it. What
	// it starts belongs to session.work.
	opened(*datachannel.Channel)
	// ready is closed once it has what it needs.
	ready() <-chan struct{}
	// result reports how it went, after the call.
	result() error
}

// dataChannelOptions returns the channels of a call. A label that was not given is the usual one.
func dataChannelOptions(c *session) []datachannel.Options {
	if c.app != nil {
		return c.app.channels()
	}
	if len(c.settings.channels) == 0 { // settings that were not read from flags
		return []datachannel.Options{{Label: c.label()}}
	}
	all := slices.Clone(c.settings.channels)
	for i := range all {
		if all[i].Label == "" {
			all[i].Label = c.label()
		}
	}
	return all
}
