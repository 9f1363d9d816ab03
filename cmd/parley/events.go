package main

import (
	"fmt"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/peer"
	"parley/peer/datachannel"
)

// handleEvent handles the events of the call, on the call's goroutine.
func (c *session) handleEvent(e peer.Event) {
	c.observers.notifyPeerEvent(e)
	c.received.suspect(e)
	switch e := e.(type) {
	case peer.StateChanged:
		c.stateChanged(e)
	case peer.CandidateFound:
		c.events.candidate(e)
	case peer.PairSelected:
		c.events.pair(e)
	case peer.AddressesChanged:
		c.events.addressesChanged(e)
		c.signaler.networkChanged()
	case peer.ChannelOpened:
		c.events.channel(e.Channel, "open")
		c.channelOpened(e.Channel)
	case peer.ChannelClosed:
		c.events.channel(e.Channel, "closed")
	case peer.TextSent:
		c.events.text(e.Channel.Label(), "out", e.Text)
	case peer.TextRejected:
		c.events.textRejected(e)
	case peer.MessageReceived:
		c.message(e)
	case peer.VerificationCode:
		c.events.code(e)
		if !e.Verified && c.options.Verify == config.VerifyAsk {
			c.work.Go(func() { c.askCode(e.Code) })
		}
	case peer.TrackReceived:
		c.expect.Observe("track."+e.Track.Kind().String(), event.TextOf("true"))
		c.events.track(e.Track.Kind(), e.Track.Codec().MimeType, "in")
		c.received.receive(e)
	case peer.TrackMuted:
		c.received.setMuted(e.Mid, e.Muted)
		c.events.muted(e)
	case peer.TrackSending:
		c.events.track(e.Track.Kind(), e.Codec.MimeType, "out")
	case peer.TrackRejected:
		c.resources.report.Warnf("%s is not sent to %s: %s", e.Track.Kind(), sanitize.Text(c.name), sanitize.Text(e.Reason))
	case peer.Warned:
		c.resources.report.Warnf("in the call with %s: %s", sanitize.Text(c.name), sanitize.Text(e.Text))
	}
}

func (c *session) stateChanged(e peer.StateChanged) {
	ev := event.Event{Name: "state", Peer: c.name, Fields: event.Fields("connection", e.State.String(), "ms", e.Since.Milliseconds())}
	switch e.State {
	case webrtc.PeerConnectionStateConnected:
		ev.Message = fmt.Sprintf("connected to %s in %d ms", sanitize.Text(c.name), e.Since.Milliseconds())
		if c.isConnected() {
			ev.Message = fmt.Sprintf("connected to %s again", sanitize.Text(c.name))
		}
		c.begun.Do(c.begin)
		defer c.expect.Observe("connected", event.TextOf("true"))
	case webrtc.PeerConnectionStateDisconnected:
		ev.Message = fmt.Sprintf("nothing comes from %s, waiting for it", sanitize.Text(c.name))
	}
	c.Emit(ev)
	c.received.measurePath(e)
}

// channelOpened hands a channel to the application that takes it.
func (c *session) channelOpened(ch *datachannel.Channel) {
	for _, app := range c.apps {
		if app(ch) {
			return
		}
	}
	c.expect.Observe("channel", event.TextOf(ch.Label()))
	if c.app != nil {
		c.app.Opened(ch)
	}
}

// begin starts the media, once the connection is up.
func (c *session) begin() {
	c.started = time.Now()
	c.signaler.setUp(true)
	close(c.connected)
	c.sending.start()
}

// message takes a message of a data channel; an echo sends it back where it
// came from.
func (c *session) message(e peer.MessageReceived) {
	if e.Text {
		c.events.text(e.Channel.Label(), "in", string(e.Data))
		c.expect.Observe("text", event.TextOf(string(e.Data)))
	} else {
		c.events.binary(e)
	}
	if !c.echo {
		return
	}
	if err := e.Channel.Send(e.Data, e.Text); err != nil {
		c.resources.report.Warnf("%d bytes were not sent back to %s: %v", len(e.Data), sanitize.Text(c.name), err)
		return
	}
	if e.Text {
		c.events.text(e.Channel.Label(), "out", string(e.Data))
	}
}

// askCode asks whether the peer sees the same verification code, and ends the call if it does not.
func (c *session) askCode(code string) {
	c.resources.report.ClearStatus() // waits for the line with the code
	same, err := c.resources.asker.ask(c.ctx, c.name, fmt.Sprintf("does %s see %s too? [y/N] ", sanitize.Text(c.name), code))
	switch {
	case c.ctx.Err() != nil: // the call is over
	case err != nil:
		c.Fail(exit.Errorf(exit.Device, "--expect-code ask: %w", err))
	case same:
		c.call.Confirm()
	default:
		c.call.Decline()
	}
}
