package session

import (
	"context"
	"log/slog"
	"slices"

	"parley/cmd/parley/internal/event"
	"parley/peer/datachannel"
)

// ChannelApp uses the data channels of a call for something else than lines of
// text.
type ChannelApp interface {
	// Channels returns the channels that the caller opens.
	Channels() []datachannel.Options
	// Opened gets a channel that no application has taken, on the call's goroutine, and may take
	// it. What it starts belongs to session.Go.
	Opened(*datachannel.Channel)
	// Ready returns a channel that is closed once the application has what it needs.
	Ready() <-chan struct{}
	// Result returns how it went, after the call.
	Result() error
}

// Peer returns the name of the peer.
func (c *Session) Peer() string { return c.peer }

// PeerIsParley reports whether the peer is this program.
func (c *Session) PeerIsParley() bool { return c.Call.PeerIsParley() }

// IsCaller reports whether this peer has called.
func (c *Session) IsCaller() bool { return c.Caller }

// Say sends a text, once the call is connected.
func (c *Session) Say(text string) { c.Call.Say(text) }

// ReportStats reports statistics.
func (c *Session) ReportStats(ctx context.Context) error {
	return c.Do(ctx, Command{Command: "stats"})
}

// Mute mutes what is sent of a kind, or of all kinds if it is "", or unmutes it. It takes effect at
// once, before the peer is notified.
func (c *Session) Mute(ctx context.Context, kind string, muted bool) error {
	err := c.Sending.Mute(ctx, kind, muted)
	if err == nil {
		c.Sending.AnnounceMute(kind, muted)
	}
	return err
}

// OpenChannel opens a data channel.
func (c *Session) OpenChannel(ctx context.Context, o datachannel.Options) (*datachannel.Channel, error) {
	return c.Call.OpenChannel(ctx, o)
}

// Hangup ends the call.
func (c *Session) Hangup() { c.Call.Hangup() }

// Reporter returns the reporter of the command.
func (c *Session) Reporter() *event.Reporter { return c.resources.Report }

// Logger returns the logger of the command.
func (c *Session) Logger() *slog.Logger { return c.resources.Logger }

// dataChannelOptions returns the channels of a call. A label that was not given is the usual one.
func dataChannelOptions(c *Session) []datachannel.Options {
	if c.App != nil {
		return c.App.Channels()
	}
	if len(c.options.Channels) == 0 { // settings that were not read from flags
		return []datachannel.Options{{Label: c.Label()}}
	}
	all := slices.Clone(c.options.Channels)
	for i := range all {
		if all[i].Label == "" {
			all[i].Label = c.Label()
		}
	}
	return all
}
