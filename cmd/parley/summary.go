package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/peer"
	"parley/peer/stats"
)

// reportStats reports what is measured now; nothing that was not measured is reported. It measures nothing that nobody reads.
func (c *session) reportStats() {
	if !c.isConnected() {
		return
	}
	if c.observers.takesStats() || c.report.TakesEvents() {
		c.emit(event.Event{Name: "stats", Peer: c.name, Fields: c.statsFields(false)})
	}
	if c.report.TakesStatus() {
		c.report.Status(c.statusLine())
	}
}

// statusLine is the state of the call in one line, for a terminal.
func (c *session) statusLine() string {
	parts := []string{time.Since(c.started).Round(time.Second).String()}
	for _, s := range c.received.stats() {
		part := s.Kind
		if s.Width > 0 {
			part += fmt.Sprintf(" %s %.0f/s", size(s.Width, s.Height), s.FrameRate)
		}
		if s.tone.Tone > 0 {
			part += fmt.Sprintf(" %.0f Hz", s.tone.Tone)
		}
		parts = append(parts, fmt.Sprintf("%s %.0f kbit/s, %d lost", part, s.Bitrate/1000, s.Lost))
	}
	if rtt := c.call.Stats().RTT; rtt != nil {
		parts = append(parts, fmt.Sprintf("rtt %.1f ms", milliseconds(*rtt)))
	}
	return strings.Join(parts, " · ")
}

// statsFields are what is measured now; the certificates only if all is wanted,
// for they are long and stay the same.
func (c *session) statsFields(all bool) []event.Field {
	measured := c.call.Stats()
	var fields []event.Field
	if measured.RTT != nil {
		fields = append(fields, event.Field{Key: "rtt", Value: milliseconds(*measured.RTT)})
	}
	tracks := [][]event.Field{}
	for _, s := range c.received.stats() {
		tracks = append(tracks, receivedFields(s))
	}
	for _, s := range measured.Tracks {
		tracks = append(tracks, sentFields(s))
	}
	channels := [][]event.Field{}
	for _, s := range measured.Channels {
		channels = append(channels, event.Fields("label", s.Label,
			"messages_sent", s.MessagesSent, "bytes_sent", s.BytesSent,
			"messages_received", s.MessagesReceived, "bytes_received", s.BytesReceived))
	}
	report := c.fullReport(measured.Report)
	c.observers.notifyStats(report)
	if !all {
		report = slices.DeleteFunc(report, func(o stats.Object) bool { return o["type"] == "certificate" })
	}
	if q := qualityFields(c.quality()); q != nil {
		fields = append(fields, event.Field{Key: "quality", Value: q})
	}
	return append(fields, event.Field{Key: "tracks", Value: tracks}, event.Field{Key: "channels", Value: channels}, event.Field{Key: "report", Value: report})
}

func receivedFields(s receivedStats) []event.Field {
	fields := event.Fields("direction", "in", "kind", s.Kind, "codec", s.Codec,
		"packets", s.Packets, "bytes", s.Bytes, "lost", s.Lost, "jitter", s.Jitter,
		"frames", s.Frames, "bitrate", int64(s.Bitrate))
	if s.Width > 0 {
		fields = append(fields, event.Field{Key: "size", Value: size(s.Width, s.Height)}, event.Field{Key: "fps", Value: s.FrameRate})
	}
	if s.tone.Tone > 0 {
		fields = append(fields, event.Field{Key: "tone", Value: s.tone.Tone})
	}
	if s.measured {
		fields = append(fields, event.Fields("gaps", s.interruptions, "gap_ms", s.interrupted.Milliseconds())...)
	}
	return fields
}

func sentFields(s stats.SentTrack) []event.Field {
	fields := event.Fields("direction", "out", "kind", s.Kind.String(), "codec", codecName(s.Codec),
		"packets", s.Packets, "bytes", s.Bytes)
	if s.Lost != nil {
		fields = append(fields, event.Field{Key: "lost", Value: *s.Lost}, event.Field{Key: "jitter", Value: milliseconds(*s.Jitter)}, event.Field{Key: "rtt", Value: milliseconds(*s.RTT)})
	}
	return fields
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// reportEnd reports how the call ended, and what was received in it.
func (c *session) reportEnd(end peer.End, err, cause error) {
	reason := "left"
	switch {
	case errors.Is(cause, errTimeout):
		reason = "timeout"
	case end == peer.PeerLeft:
		reason = "leave"
	case exit.CodeOf(err) == exit.Connection || exit.CodeOf(err) == exit.Negotiation:
		reason = "failed"
	case end == 0, err != nil && exit.CodeOf(err) != exit.Expectation && exit.CodeOf(err) != exit.Interrupted:
		reason = "error"
	}
	fields := event.Fields("reason", reason)
	if err != nil && exit.CodeOf(err) != exit.Interrupted {
		fields = append(fields, event.Field{Key: "error", Value: err.Error()})
	}
	ev := event.Event{Name: "end", Peer: c.name, Fields: fields, Message: sanitize.Text(c.name) + " hung up"}
	switch {
	case end == 0:
		ev.Message = ""
	case end == peer.Left:
		ev.Message = "hung up"
	}
	if c.isConnected() {
		took := time.Since(c.started)
		ev.Fields = append(ev.Fields, event.Field{Key: "seconds", Value: took.Seconds()})
		if ev.Message != "" {
			ev.Message += fmt.Sprintf(" after %.1f s", took.Seconds())
		}
		c.reportStatsAtEnd()
	}
	c.emit(ev)
	c.observers.notifyEnd()
}

func (c *session) reportStatsAtEnd() {
	var parts []string
	for _, s := range c.received.stats() {
		if tone, ok := c.lastTone.Load().(float64); ok && s.Kind == "audio" {
			s.tone.Tone = tone
		}
		parts = append(parts, sentence(s))
	}
	ev := event.Event{Name: "stats", Peer: c.name, Fields: c.statsFields(true)}
	if len(parts) > 0 {
		ev.Output = fmt.Sprintf("received from %s: %s", sanitize.Text(c.name), strings.Join(parts, "; "))
	}
	c.emit(ev)
}

// sentence is what was received on one track, for people.
func sentence(s receivedStats) string {
	out := s.Kind + " " + s.Codec
	if s.Width > 0 {
		out += " " + size(s.Width, s.Height)
	}
	if s.Kind == "video" {
		out += fmt.Sprintf(", %d frames", s.Frames)
	}
	out += fmt.Sprintf(", %d packets, %d lost", s.Packets, s.Lost)
	if s.tone.Tone > 0 {
		out += fmt.Sprintf(", a tone of %.0f Hz", s.tone.Tone)
	}
	return out
}

func size(width, height int) string { return fmt.Sprintf("%dx%d", width, height) }
