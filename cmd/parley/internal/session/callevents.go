package session

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/sanitize"
	"parley/media"
	"parley/peer"
	"parley/peer/datachannel"
)

// callEvents reports what happens in a call as events.
type callEvents struct {
	peer string
	emit func(event.Event)
}

func (r callEvents) begin(out bool) {
	direction, say := "in", sanitize.Text(r.peer)+" calls"
	if out {
		direction, say = "out", "calling "+sanitize.Text(r.peer)
	}
	r.emit(event.Event{Name: "call", Peer: r.peer, Fields: event.Fields("direction", direction), Message: say})
}

func (r callEvents) addressesChanged(e peer.AddressesChanged) {
	r.emit(event.Event{Name: "addresses-changed", Peer: r.peer, Fields: event.Fields("addresses", e.Addresses),
		Message: "the addresses of this machine have changed"})
}

func (r callEvents) code(e peer.VerificationCode) {
	ev := event.Event{Name: "code", Peer: r.peer, Fields: event.Fields("code", e.Code, "verified", e.Verified),
		Message: "verification code " + e.Code}
	if e.Verified {
		ev.Message += ", as it should be"
	}
	r.emit(ev)
}

func (r callEvents) candidate(e peer.CandidateFound) {
	side := "local"
	if e.Remote {
		side = "remote"
	}
	r.emit(event.Event{Name: "candidate", Peer: r.peer, Detail: true,
		Fields:  event.Fields("side", side, "type", e.Type, "protocol", e.Protocol, "address", e.Address),
		Message: fmt.Sprintf("%s candidate %s %s %s", side, e.Type, e.Protocol, e.Address)})
}

func (r callEvents) pair(e peer.PairSelected) {
	local, remote := e.Local.Type+" "+e.Local.Address, e.Remote.Type+" "+e.Remote.Address
	how := "directly"
	if e.Relayed {
		how = "through a relay"
	}
	r.emit(event.Event{Name: "pair", Peer: r.peer, Detail: true,
		Fields:  event.Fields("local", local, "remote", remote, "protocol", e.Local.Protocol, "relayed", e.Relayed),
		Message: fmt.Sprintf("%s: %s to %s, %s", how, local, remote, e.Local.Protocol)})
}

func (r callEvents) channel(ch *datachannel.Channel, state string) {
	by := "us"
	if ch.OpenedByPeer() {
		by = "peer"
	}
	r.emit(event.Event{Name: "channel", Peer: r.peer, Detail: true,
		Fields:  append(event.Fields("label", ch.Label(), "state", state, "opened_by", by), channelFields(ch)...),
		Message: fmt.Sprintf("data channel %s %s", sanitize.Text(ch.Label()), state)})
}

func (r callEvents) text(label, direction, text string) {
	ev := event.Event{Name: "text", Peer: r.peer, Fields: event.Fields("label", label, "direction", direction, "text", text)}
	if direction == "in" {
		ev.Output = sanitize.Text(r.peer) + ": " + sanitize.Lines(text)
	} else {
		ev.Message = "said: " + sanitize.Lines(text)
	}
	r.emit(ev)
}

// maxShown is how many characters of a line that was refused are shown: enough to
// know which one it was.
const maxShown = 24

func (r callEvents) textRejected(e peer.TextRejected) {
	begins := e.Text
	if all := []rune(e.Text); len(all) > maxShown {
		begins = string(all[:maxShown]) + "…"
	}
	say := fmt.Sprintf("%s does not get \"%s\": %v", sanitize.Text(r.peer), sanitize.Text(begins), e.Reason)
	if errors.Is(e.Reason, datachannel.ErrTooLong) {
		say += "; say it in parts, or send a file"
	}
	r.emit(event.Event{Name: "text-rejected", Peer: r.peer, Alert: true, Message: say, CallOver: errors.Is(e.Reason, peer.ErrOver),
		Fields: event.Fields("text", e.Text, "reason", e.Reason.Error())})
}

func (r callEvents) track(kind webrtc.RTPCodecType, mime, direction string) {
	doing := "sending"
	if direction == "in" {
		doing = "receiving"
	}
	r.emit(event.Event{Name: "track", Peer: r.peer,
		Fields:  event.Fields("kind", kind.String(), "codec", media.CodecName(mime), "direction", direction),
		Message: fmt.Sprintf("%s %s %s", doing, kind, media.CodecName(mime))})
}

func (r callEvents) muted(e peer.TrackMuted) {
	say := "no %s comes from %s for now, it says"
	if !e.Muted {
		say = "%s comes from %s again, it says"
	}
	r.emit(event.Event{Name: "mute", Peer: r.peer, Fields: event.Fields("kind", e.Kind.String(), "muted", e.Muted),
		Message: fmt.Sprintf(say, e.Kind, sanitize.Text(r.peer))})
}

func (r callEvents) check(ch event.Check, held bool, saw event.Value) {
	ev := event.Event{Name: "expect", Peer: r.peer, Fields: event.Fields("check", ch.Raw, "held", held, "saw", saw.String())}
	if held {
		ev.Message = "held: " + sanitize.Text(ch.Raw)
	}
	r.emit(ev)
}

// channelFields returns what an event reports of a channel beyond its label.
func channelFields(ch *datachannel.Channel) []event.Field {
	o := ch.Options()
	fields := event.Fields("id", o.ID, "ordered", !o.Unordered)
	if o.Protocol != "" {
		fields = append(fields, event.Field{Key: "protocol", Value: o.Protocol})
	}
	if o.MaxRetransmits != nil {
		fields = append(fields, event.Field{Key: "max_retransmits", Value: *o.MaxRetransmits})
	}
	if o.MaxLifetime > 0 {
		fields = append(fields, event.Field{Key: "max_lifetime", Value: o.MaxLifetime.Milliseconds()})
	}
	if o.Negotiated {
		fields = append(fields, event.Field{Key: "negotiated", Value: true})
	}
	return fields
}

// maxBinaryShown is how many bytes of a binary message an event shows at most.
const maxBinaryShown = 4096

// binary reports a message that is no text.
func (r callEvents) binary(e peer.MessageReceived) {
	fields := event.Fields("label", e.Channel.Label(), "direction", "in", "bytes", len(e.Data))
	if len(e.Data) <= maxBinaryShown {
		fields = append(fields, event.Field{Key: "data", Value: base64.StdEncoding.EncodeToString(e.Data)})
	}
	r.emit(event.Event{Name: "binary", Peer: r.peer, Detail: true, Fields: fields,
		Message: fmt.Sprintf("%s sent %d bytes on channel %s", sanitize.Text(r.peer), len(e.Data), sanitize.Text(e.Channel.Label()))})
}
