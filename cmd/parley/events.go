package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/sanitize"
	"parley/peer"
	"parley/peer/datachannel"
)

// handleEvent handles the events of the call, on the call's goroutine.
func (c *session) handleEvent(e peer.Event) {
	c.observers.notifyPeerEvent(e)
	c.suspectGap(e)
	switch e := e.(type) {
	case peer.StateChanged:
		c.stateChanged(e)
	case peer.CandidateFound:
		c.reportCandidate(e)
	case peer.PairSelected:
		c.reportPair(e)
	case peer.AddressesChanged:
		c.emit(event.Event{Name: "network", Peer: c.name, Fields: event.Fields("addresses", e.Addresses),
			Message: "the addresses of this machine have changed"})
		c.signaler.client.NetworkChanged()
	case peer.ChannelOpened:
		c.reportChannel(e.Channel, "open")
		c.channelOpened(e.Channel)
	case peer.ChannelClosed:
		c.reportChannel(e.Channel, "closed")
	case peer.TextSent:
		c.reportText(e.Channel.Label(), "out", e.Text)
	case peer.TextRejected:
		c.reportRefused(e)
	case peer.MessageReceived:
		c.message(e)
	case peer.VerificationCode:
		c.reportCode(e)
	case peer.TrackReceived:
		c.receive(e)
	case peer.TrackMuted:
		if recorded := c.recorded[e.Mid]; recorded != nil {
			recorded.SetMuted(e.Muted)
		}
		c.reportMuted(e)
	case peer.TrackSending:
		c.reportTrack(e.Track.Kind(), e.Codec.MimeType, "out")
	case peer.TrackRejected:
		c.report.Warnf("%s is not sent to %s: %s", e.Track.Kind(), sanitize.Text(c.name), sanitize.Text(e.Reason))
	case peer.Warned:
		c.report.Warnf("in the call with %s: %s", sanitize.Text(c.name), sanitize.Text(e.Text))
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
	c.emit(ev)
	c.measurePath(e)
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
		c.app.opened(ch)
	}
}

// begin starts the media, once the connection is up.
func (c *session) begin() {
	c.started = time.Now()
	c.signaler.up.Add(1)
	close(c.connected)
	c.sending.start()
}

// message takes a message of a data channel; an echo sends it back where it
// came from.
func (c *session) message(e peer.MessageReceived) {
	if e.Text {
		c.reportText(e.Channel.Label(), "in", string(e.Data))
		c.expect.Observe("text", event.TextOf(string(e.Data)))
	} else {
		c.reportBinary(e)
	}
	if !c.echo {
		return
	}
	if err := e.Channel.Send(e.Data, e.Text); err != nil {
		c.report.Warnf("%d bytes were not sent back to %s: %v", len(e.Data), sanitize.Text(c.name), err)
		return
	}
	if e.Text {
		c.reportText(e.Channel.Label(), "out", string(e.Data))
	}
}

func (c *session) reportCandidate(e peer.CandidateFound) {
	side := "local"
	if e.Remote {
		side = "remote"
	}
	c.emit(event.Event{Name: "candidate", Peer: c.name, Detail: true,
		Fields:  event.Fields("side", side, "type", e.Type, "protocol", e.Protocol, "address", e.Address),
		Message: fmt.Sprintf("%s candidate %s %s %s", side, e.Type, e.Protocol, e.Address)})
}

func (c *session) reportPair(e peer.PairSelected) {
	local, remote := e.Local.Type+" "+e.Local.Address, e.Remote.Type+" "+e.Remote.Address
	how := "directly"
	if e.Relayed {
		how = "through a relay"
	}
	c.emit(event.Event{Name: "pair", Peer: c.name, Detail: true,
		Fields:  event.Fields("local", local, "remote", remote, "protocol", e.Local.Protocol, "relayed", e.Relayed),
		Message: fmt.Sprintf("%s: %s to %s, %s", how, local, remote, e.Local.Protocol)})
}

func (c *session) reportChannel(ch *datachannel.Channel, state string) {
	by := "us"
	if ch.OpenedByPeer() {
		by = "peer"
	}
	c.emit(event.Event{Name: "channel", Peer: c.name, Detail: true,
		Fields:  append(event.Fields("label", ch.Label(), "state", state, "opened_by", by), channelFields(ch)...),
		Message: fmt.Sprintf("data channel %s %s", sanitize.Text(ch.Label()), state)})
}

func (c *session) reportText(label, direction, text string) {
	ev := event.Event{Name: "text", Peer: c.name, Fields: event.Fields("label", label, "direction", direction, "text", text)}
	if direction == "in" {
		ev.Output = sanitize.Text(c.name) + ": " + sanitize.Lines(text)
	} else {
		ev.Message = "said: " + sanitize.Lines(text)
	}
	c.emit(ev)
}

// maxShown is how many characters of a line that was refused are shown: enough to
// know which one it was.
const maxShown = 24

func (c *session) reportRefused(e peer.TextRejected) {
	begins := e.Text
	if all := []rune(e.Text); len(all) > maxShown {
		begins = string(all[:maxShown]) + "…"
	}
	say := fmt.Sprintf("%s does not get \"%s\": %v", sanitize.Text(c.name), sanitize.Text(begins), e.Reason)
	if errors.Is(e.Reason, datachannel.ErrTooLong) {
		say += "; say it in parts, or send a file"
	}
	c.emit(event.Event{Name: "refused", Peer: c.name, Alert: true, Message: say, CallOver: errors.Is(e.Reason, peer.ErrOver),
		Fields: event.Fields("text", e.Text, "reason", e.Reason.Error())})
}

func (c *session) reportTrack(kind webrtc.RTPCodecType, mime, direction string) {
	doing := "sending"
	if direction == "in" {
		doing = "receiving"
	}
	c.emit(event.Event{Name: "track", Peer: c.name,
		Fields:  event.Fields("kind", kind.String(), "codec", codecName(mime), "direction", direction),
		Message: fmt.Sprintf("%s %s %s", doing, kind, codecName(mime))})
}

func (c *session) reportMuted(e peer.TrackMuted) {
	say := "no %s comes from %s for now, it says"
	if !e.Muted {
		say = "%s comes from %s again, it says"
	}
	c.emit(event.Event{Name: "mute", Peer: c.name, Fields: event.Fields("kind", e.Kind.String(), "muted", e.Muted),
		Message: fmt.Sprintf(say, e.Kind, sanitize.Text(c.name))})
}

func (c *session) reportCheck(ch event.Check, held bool, saw event.Value) {
	ev := event.Event{Name: "expect", Peer: c.name, Fields: event.Fields("check", ch.Raw, "held", held, "saw", saw.String())}
	if held {
		ev.Message = "held: " + sanitize.Text(ch.Raw)
	}
	c.emit(ev)
}
