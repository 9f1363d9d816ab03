package session

import (
	"fmt"
	"slices"
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
func (c *Session) handleEvent(e peer.Event) {
	c.observers.notifyPeerEvent(e)
	c.Received.Suspect(e)
	switch e := e.(type) {
	case peer.StateChanged:
		c.stateChanged(e)
	case peer.CandidateFound:
		c.events.candidate(e)
	case peer.GatheringComplete:
		c.signaler.GatheringComplete()
	case peer.PairSelected:
		c.events.pair(e)
	case peer.AddressesChanged:
		c.events.addressesChanged(e)
		c.signaler.NetworkChanged()
	case peer.ChannelOpened:
		c.events.channel(e.Channel, "open")
		c.channelOpened(e.Channel)
	case peer.ChannelClosed:
		c.events.channel(e.Channel, "closed")
	case peer.TextSent:
		c.events.text(e.Channel.Label(), "out", e.Text)
	case peer.TextRejected:
		c.unsaid = c.unsaid || slices.Contains(c.options.Say, e.Text)
		c.events.textRejected(e)
	case peer.MessageReceived:
		c.message(e)
	case peer.VerificationCode:
		c.events.code(e)
		if !e.Verified && c.options.ExpectCode == config.AskCode {
			c.work.Go(func() { askCode(c, e.Code) })
		}
	case peer.TrackReceived:
		c.expect.Observe("track."+e.Track.Kind().String(), event.TextOf("true"))
		c.events.track(e.Track.Kind(), e.Track.Codec().MimeType, "in")
		c.Received.Receive(e)
	case peer.TrackMuted:
		c.Received.SetMuted(e.Mid, e.Muted)
		c.events.muted(e)
	case peer.TrackSending:
		c.events.track(e.Track.Kind(), e.Codec.MimeType, "out")
	case peer.TrackRejected:
		c.resources.Report.Warnf("%s is not sent to %s: %s", e.Track.Kind(), sanitize.Text(c.peer), sanitize.Text(e.Reason))
	case peer.Warned:
		c.resources.Report.Warnf("in the call with %s: %s", sanitize.Text(c.peer), sanitize.Text(e.Text))
	}
}

func (c *Session) stateChanged(e peer.StateChanged) {
	ev := event.Event{Name: "state", Peer: c.peer, Fields: event.Fields("connection", e.State.String(), "ms", e.Since.Milliseconds())}
	switch e.State {
	case webrtc.PeerConnectionStateConnected:
		ev.Message = fmt.Sprintf("connected to %s in %d ms", sanitize.Text(c.peer), e.Since.Milliseconds())
		if c.IsConnected() {
			ev.Message = fmt.Sprintf("connected to %s again", sanitize.Text(c.peer))
		}
		c.begun.Do(c.begin)
		defer c.expect.Observe("connected", event.TextOf("true"))
	case webrtc.PeerConnectionStateDisconnected:
		ev.Message = fmt.Sprintf("nothing comes from %s, waiting for it", sanitize.Text(c.peer))
	}
	c.Emit(ev)
	c.watchSilence(e.State == webrtc.PeerConnectionStateDisconnected)
	c.Received.MeasurePath(e)
}

// channelOpened hands a channel to the application that takes it.
func (c *Session) channelOpened(ch *datachannel.Channel) {
	for _, app := range c.apps {
		if app(ch) {
			return
		}
	}
	c.expect.Observe("channel", event.TextOf(ch.Label()))
	if c.App != nil {
		c.App.Opened(ch)
	}
}

// begin starts the media, once the connection is up.
func (c *Session) begin() {
	c.started = time.Now()
	c.signaler.SetUp(true)
	close(c.connected)
	c.Sending.Start()
}

// message takes a message of a data channel; an echo sends it back where it
// came from.
func (c *Session) message(e peer.MessageReceived) {
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
		c.resources.Report.Warnf("%d bytes were not sent back to %s: %v", len(e.Data), sanitize.Text(c.peer), err)
		return
	}
	if e.Text {
		c.events.text(e.Channel.Label(), "out", string(e.Data))
	}
}

// askCode asks whether the peer sees the same verification code, and ends the call if it does not.
func askCode(c *Session, code string) {
	c.resources.Report.ClearStatus() // waits for the line with the code
	same, err := c.resources.Asker.Ask(c.ctx, c.peer, fmt.Sprintf("does %s see %s too? [y/N] ", sanitize.Text(c.peer), code))
	switch {
	case c.ctx.Err() != nil: // the call is over
	case err != nil:
		c.Fail(exit.Errorf(exit.Device, "--expect-code ask: %w", err))
	case same:
		c.Call.Confirm()
	default:
		c.Call.Decline()
	}
}
