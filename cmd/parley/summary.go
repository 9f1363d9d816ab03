package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"parley/peer"
	"parley/peer/stats"
)

// tellStats tells what is measured now; nothing that was not measured is told. It measures nothing that nobody is told.
func (c *session) tellStats() {
	if !c.isConnected() {
		return
	}
	if c.dumping != nil || c.told.takesStats() || c.report.takesEvents() {
		c.tell(event{name: "stats", peer: c.name, fields: c.statsFields(false)})
	}
	if c.report.takesStatus() {
		c.report.status(c.statusLine())
	}
}

// statusLine is the state of the call in one line, for a terminal.
func (c *session) statusLine() string {
	parts := []string{time.Since(c.started).Round(time.Second).String()}
	for _, s := range c.received() {
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
func (c *session) statsFields(all bool) []field {
	measured := c.call.Stats()
	var fields []field
	if measured.RTT != nil {
		fields = append(fields, field{"rtt", milliseconds(*measured.RTT)})
	}
	tracks := [][]field{}
	for _, s := range c.received() {
		tracks = append(tracks, append(receivedFields(s), c.gapFields(s)...))
	}
	for _, s := range measured.Tracks {
		tracks = append(tracks, sentFields(s))
	}
	channels := [][]field{}
	for _, s := range measured.Channels {
		channels = append(channels, []field{{"label", s.Label},
			{"messages_sent", s.MessagesSent}, {"bytes_sent", s.BytesSent},
			{"messages_received", s.MessagesReceived}, {"bytes_received", s.BytesReceived}})
	}
	report := c.fullReport(measured.Report)
	dumpReport(c.dumping, report)
	if !all {
		report = slices.DeleteFunc(report, func(o stats.Object) bool { return o["type"] == "certificate" })
	}
	if q := qualityFields(c.quality()); q != nil {
		fields = append(fields, field{"quality", q})
	}
	return append(fields, field{"tracks", tracks}, field{"channels", channels}, field{"report", report})
}

func receivedFields(s receivedStats) []field {
	fields := []field{{"direction", "in"}, {"kind", s.Kind}, {"codec", s.Codec},
		{"packets", s.Packets}, {"bytes", s.Bytes}, {"lost", s.Lost}, {"jitter", s.Jitter},
		{"frames", s.Frames}, {"bitrate", int64(s.Bitrate)}}
	if s.Width > 0 {
		fields = append(fields, field{"size", size(s.Width, s.Height)}, field{"fps", s.FrameRate})
	}
	if s.tone.Tone > 0 {
		fields = append(fields, field{"tone", s.tone.Tone})
	}
	return fields
}

func sentFields(s stats.SentTrack) []field {
	fields := []field{{"direction", "out"}, {"kind", s.Kind.String()}, {"codec", codecName(s.Codec)},
		{"packets", s.Packets}, {"bytes", s.Bytes}}
	if s.Lost != nil {
		fields = append(fields, field{"lost", *s.Lost}, field{"jitter", milliseconds(*s.Jitter)}, field{"rtt", milliseconds(*s.RTT)})
	}
	return fields
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// tellEnd tells how the call ended, and what was received in it.
func (c *session) tellEnd(end peer.End, err, cause error) {
	reason := "left"
	switch {
	case errors.Is(cause, errTimeout):
		reason = "timeout"
	case end == peer.PeerLeft:
		reason = "leave"
	case codeOf(err) == exitConnection || codeOf(err) == exitNegotiation:
		reason = "failed"
	case end == 0, err != nil && codeOf(err) != exitExpectation && codeOf(err) != exitInterrupted:
		reason = "error"
	}
	fields := []field{{"reason", reason}}
	if err != nil && codeOf(err) != exitInterrupted {
		fields = append(fields, field{"error", err.Error()})
	}
	ev := event{name: "end", peer: c.name, fields: fields, say: printable(c.name) + " hung up"}
	switch {
	case end == 0:
		ev.say = ""
	case end == peer.Left:
		ev.say = "hung up"
	}
	if c.isConnected() {
		took := time.Since(c.started)
		ev.fields = append(ev.fields, field{"seconds", took.Seconds()})
		if ev.say != "" {
			ev.say += fmt.Sprintf(" after %.1f s", took.Seconds())
		}
		c.tellStatsAtEnd()
	}
	c.tell(ev)
	c.dumping.Write("close", nil)
}

func (c *session) tellStatsAtEnd() {
	var parts []string
	for _, s := range c.received() {
		if tone, ok := c.lastTone.Load().(float64); ok && s.Kind == "audio" {
			s.tone.Tone = tone
		}
		parts = append(parts, sentence(s))
	}
	ev := event{name: "stats", peer: c.name, fields: c.statsFields(true)}
	if len(parts) > 0 {
		ev.data = fmt.Sprintf("received from %s: %s", printable(c.name), strings.Join(parts, "; "))
	}
	c.tell(ev)
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
