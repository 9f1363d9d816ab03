package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/peer"
	"parley/peer/datachannel"
)

// happened takes the events of the call, on the call's goroutine.
func (c *session) happened(e peer.Event) {
	dumpEvent(c.dumping, e)
	c.suspectGap(e)
	c.witness.happened(e)
	if _, ok := e.(peer.GatheringComplete); ok {
		c.way.candidatesDone(c.ctx)
	}
	switch e := e.(type) {
	case peer.StateChanged:
		c.stateChanged(e)
	case peer.CandidateFound:
		c.tellCandidate(e)
	case peer.PairSelected:
		c.tellPair(e)
	case peer.AddressesChanged:
		c.tell(event{name: "network", peer: c.name, fields: []field{{"addresses", e.Addresses}},
			say: "the addresses of this machine have changed"})
		c.way.client.NetworkChanged()
	case peer.ChannelOpened:
		c.tellChannel(e.Channel, "open")
		if c.cooperates(e.Channel) {
			break
		}
		c.expect.saw("channel", e.Channel.Label())
		if c.carrier != nil {
			c.carrier.opened(e.Channel)
		} else if e.Channel.OpenedByPeer() {
			refuseFiles(c, e.Channel)
		}
	case peer.ChannelClosed:
		c.tellChannel(e.Channel, "closed")
	case peer.TextSent:
		c.tellText(e.Channel.Label(), "out", e.Text)
	case peer.TextRejected:
		c.tellRefused(e)
	case peer.MessageReceived:
		c.message(e)
	case peer.VerificationCode:
		c.tellCode(e)
	case peer.TrackReceived:
		c.receive(e)
	case peer.TrackMuted:
		if recorded := c.recorded[e.Mid]; recorded != nil {
			recorded.SetMuted(e.Muted)
		}
		c.tellMuted(e)
	case peer.TrackSending:
		c.tellTrack(e.Track.Kind(), e.Codec.MimeType, "out")
	case peer.TrackRejected:
		c.report.warn("%s is not sent to %s: %s", e.Track.Kind(), printable(c.name), printable(e.Reason))
	case peer.Warned:
		c.report.warn("in the call with %s: %s", printable(c.name), printable(e.Text))
	}
}

func (c *session) stateChanged(e peer.StateChanged) {
	ev := event{name: "state", peer: c.name, fields: []field{{"connection", e.State.String()}, {"ms", e.Since.Milliseconds()}}}
	switch e.State {
	case webrtc.PeerConnectionStateConnected:
		ev.say = fmt.Sprintf("connected to %s in %d ms", printable(c.name), e.Since.Milliseconds())
		if c.isConnected() {
			ev.say = fmt.Sprintf("connected to %s again", printable(c.name))
		}
		c.begun.Do(c.begin)
		defer c.expect.saw("connected", "true")
	case webrtc.PeerConnectionStateDisconnected:
		ev.say = fmt.Sprintf("nothing comes from %s, waiting for it", printable(c.name))
	}
	c.tell(ev)
	c.measurePath(e)
}

// begin starts the media, once the connection is up.
func (c *session) begin() {
	c.started = time.Now()
	c.way.up.Add(1)
	close(c.connected)
	for _, s := range c.sources {
		c.play(s)
	}
}

// message takes a message of a data channel; an echo sends it back where it
// came from.
func (c *session) message(e peer.MessageReceived) {
	if e.Text {
		c.tellText(e.Channel.Label(), "in", string(e.Data))
		c.expect.saw("text", string(e.Data))
	} else {
		c.tellBinary(e)
	}
	if !c.echo {
		return
	}
	if err := e.Channel.Send(e.Data, e.Text); err != nil {
		c.report.warn("%d bytes were not sent back to %s: %v", len(e.Data), printable(c.name), err)
		return
	}
	if e.Text {
		c.tellText(e.Channel.Label(), "out", string(e.Data))
	}
}

func (c *session) tellCandidate(e peer.CandidateFound) {
	side := "local"
	if e.Remote {
		side = "remote"
	}
	c.tell(event{name: "candidate", peer: c.name, detail: true,
		fields: []field{{"side", side}, {"type", e.Type}, {"protocol", e.Protocol}, {"address", e.Address}},
		say:    fmt.Sprintf("%s candidate %s %s %s", side, e.Type, e.Protocol, e.Address)})
}

func (c *session) tellPair(e peer.PairSelected) {
	local, remote := e.Local.Type+" "+e.Local.Address, e.Remote.Type+" "+e.Remote.Address
	how := "directly"
	if e.Relayed {
		how = "through a relay"
	}
	c.tell(event{name: "pair", peer: c.name, detail: true,
		fields: []field{{"local", local}, {"remote", remote}, {"protocol", e.Local.Protocol}, {"relayed", e.Relayed}},
		say:    fmt.Sprintf("%s: %s to %s, %s", how, local, remote, e.Local.Protocol)})
}

func (c *session) tellChannel(ch *datachannel.Channel, state string) {
	by := "us"
	if ch.OpenedByPeer() {
		by = "peer"
	}
	c.tell(event{name: "channel", peer: c.name, detail: true,
		fields: append([]field{{"label", ch.Label()}, {"state", state}, {"opened_by", by}}, channelFields(ch)...),
		say:    fmt.Sprintf("data channel %s %s", printable(ch.Label()), state)})
}

func (c *session) tellText(label, direction, text string) {
	ev := event{name: "text", peer: c.name, fields: []field{{"label", label}, {"direction", direction}, {"text", text}}}
	if direction == "in" {
		ev.data = printable(c.name) + ": " + paragraph(text)
	} else {
		ev.say = "said: " + paragraph(text)
	}
	c.tell(ev)
}

// maxShown is how many characters of a line that was refused are shown: enough to
// know which one it was.
const maxShown = 24

func (c *session) tellRefused(e peer.TextRejected) {
	begins := e.Text
	if all := []rune(e.Text); len(all) > maxShown {
		begins = string(all[:maxShown]) + "…"
	}
	say := fmt.Sprintf("%s does not get \"%s\": %v", printable(c.name), printable(begins), e.Reason)
	if errors.Is(e.Reason, datachannel.ErrTooLong) {
		say += "; say it in parts, or send a file"
	}
	c.tell(event{name: "refused", peer: c.name, alert: true, say: say, over: errors.Is(e.Reason, peer.ErrOver),
		fields: []field{{"text", e.Text}, {"reason", e.Reason.Error()}}})
}

func (c *session) tellTrack(kind webrtc.RTPCodecType, mime, direction string) {
	doing := "sending"
	if direction == "in" {
		doing = "receiving"
	}
	c.tell(event{name: "track", peer: c.name,
		fields: []field{{"kind", kind.String()}, {"codec", codecName(mime)}, {"direction", direction}},
		say:    fmt.Sprintf("%s %s %s", doing, kind, codecName(mime))})
}

func (c *session) tellMuted(e peer.TrackMuted) {
	say := "no %s comes from %s for now, it says"
	if !e.Muted {
		say = "%s comes from %s again, it says"
	}
	c.tell(event{name: "mute", peer: c.name, fields: []field{{"kind", e.Kind.String()}, {"muted", e.Muted}},
		say: fmt.Sprintf(say, e.Kind, printable(c.name))})
}

func (c *session) tellCheck(ch check, held bool, saw string) {
	ev := event{name: "expect", peer: c.name, fields: []field{{"check", ch.raw}, {"held", held}, {"saw", saw}}}
	if held {
		ev.say = "held: " + printable(ch.raw)
	}
	c.tell(ev)
}
