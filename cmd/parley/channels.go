package main

import (
	"encoding/base64"
	"fmt"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/sanitize"
	"parley/peer"
	"parley/peer/datachannel"
)

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

// maxBinaryTold is how many bytes of a binary message an event shows at most.
const maxBinaryTold = 4096

// reportBinary reports a message that is no text.
func (c *session) reportBinary(e peer.MessageReceived) {
	fields := event.Fields("label", e.Channel.Label(), "direction", "in", "bytes", len(e.Data))
	if len(e.Data) <= maxBinaryTold {
		fields = append(fields, event.Field{Key: "data", Value: base64.StdEncoding.EncodeToString(e.Data)})
	}
	c.emit(event.Event{Name: "binary", Peer: c.name, Detail: true, Fields: fields,
		Message: fmt.Sprintf("%s sent %d bytes on channel %s", sanitize.Text(c.name), len(e.Data), sanitize.Text(e.Channel.Label()))})
}
