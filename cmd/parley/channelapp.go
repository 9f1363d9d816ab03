package main

import (
	"context"
	"log/slog"
	"slices"

	"parley/cmd/parley/internal/event"
	"parley/peer/datachannel"
)

// channelApp uses the data channels of a call for something else than lines of
// text.
type channelApp interface {
	// Channels returns the channels that the caller opens.
	Channels() []datachannel.Options
	// Opened gets a channel that no application has taken, on the call's goroutine, and may take it. What
	// it starts belongs to session.Go.
	Opened(*datachannel.Channel)
	// Ready returns a channel that is closed once the application has what it needs.
	Ready() <-chan struct{}
	// Result returns how it went, after the call.
	Result() error
}

// Peer returns the name of the peer.
func (c *session) Peer() string { return c.name }

// PeerIsParley reports whether the peer is this program.
func (c *session) PeerIsParley() bool { return c.call.PeerIsParley() }

// OpenChannel opens a data channel.
func (c *session) OpenChannel(ctx context.Context, o datachannel.Options) (*datachannel.Channel, error) {
	return c.call.OpenChannel(ctx, o)
}

// Hangup ends the call.
func (c *session) Hangup() { c.call.Hangup() }

// Reporter returns the reporter of the command.
func (c *session) Reporter() *event.Reporter { return c.resources.report }

// Logger returns the logger of the command.
func (c *session) Logger() *slog.Logger { return c.resources.logger }

// dataChannelOptions returns the channels of a call. A label that was not given is the usual one.
func dataChannelOptions(c *session) []datachannel.Options {
	if c.app != nil {
		return c.app.Channels()
	}
	if len(c.options.channels) == 0 { // settings that were not read from flags
		return []datachannel.Options{{Label: c.label()}}
	}
	all := slices.Clone(c.options.channels)
	for i := range all {
		if all[i].Label == "" {
			all[i].Label = c.label()
		}
	}
	return all
}
