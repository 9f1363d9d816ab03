package main

import (
	"encoding/base64"
	"fmt"
	"time"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/peer"
	"parley/peer/datachannel"
)

func channelFlags() []cli.Flag {
	return inCategory("DATA CHANNELS", []cli.Flag{
		listFlag("channel", "`LABEL` of a data channel that the caller opens; repeatable, text goes by the first"),
		stringFlag("protocol", "", "`NAME` of what is spoken on it"),
		boolFlag("unordered", "a message may overtake one that was lost"),
		&cli.IntFlag{Name: "max-retransmits", Value: -1, HideDefault: true, Sources: variable("max-retransmits"),
			Usage: "give a message up after sending it `N` times again"},
		durationFlag("max-lifetime", 0, "give a message up after `D`, at most 65.535s"),
		&cli.IntFlag{Name: "negotiated", Value: -1, HideDefault: true, Sources: variable("negotiated"),
			Usage: "open the channels unannounced, as number `ID` and following, 0 to 65534; both sides have to"},
	})
}

// readChannels reads what channelFlags declare.
func (s *settings) readChannels(cmd *cli.Command) error {
	common := datachannel.Options{Unordered: cmd.Bool("unordered"), Protocol: cmd.String("protocol"), MaxLifetime: cmd.Duration("max-lifetime")}
	if cmd.IsSet("max-retransmits") {
		n := cmd.Int("max-retransmits")
		if n < 0 || n > 65535 {
			return exit.Usagef("--max-retransmits %d: it is 0 to 65535", n)
		}
		most := uint16(n)
		common.MaxRetransmits = &most
	}
	if cmd.IsSet("max-lifetime") && common.MaxLifetime < time.Millisecond {
		return exit.Usagef("--max-lifetime %s: it is 1ms to 65.535s", common.MaxLifetime)
	}
	labels := cmd.StringSlice("channel")
	if len(labels) == 0 {
		labels = []string{""} // the usual one, see session.opens
	}
	for i, label := range labels {
		o := common
		o.Label = label
		if cmd.IsSet("negotiated") {
			id := cmd.Int("negotiated") + i
			if id < 0 || id > 65534 {
				return exit.Usagef("--negotiated %d: there are the numbers 0 to 65534", id)
			}
			o.Negotiated, o.ID = true, uint16(id)
		}
		if err := o.Check(); err != nil {
			return exit.Usagef("%v; see --max-retransmits, --max-lifetime, --channel", err)
		}
		s.channels = append(s.channels, o)
	}
	return nil
}

// channelFields are what an event tells of a channel beyond its label.
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

// tellBinary tells a message that is no text.
func (c *session) tellBinary(e peer.MessageReceived) {
	fields := event.Fields("label", e.Channel.Label(), "direction", "in", "bytes", len(e.Data))
	if len(e.Data) <= maxBinaryTold {
		fields = append(fields, event.Field{Key: "data", Value: base64.StdEncoding.EncodeToString(e.Data)})
	}
	c.emit(event.Event{Name: "binary", Peer: c.name, Detail: true, Fields: fields,
		Message: fmt.Sprintf("%s sent %d bytes on channel %s", sanitize.Text(c.name), len(e.Data), sanitize.Text(e.Channel.Label()))})
}
