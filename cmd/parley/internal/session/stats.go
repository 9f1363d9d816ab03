package session

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/mediain"
	"parley/cmd/parley/internal/sanitize"
	"parley/media"
	"parley/peer"
	"parley/peer/stats"
)

// callStats reports the statistics of a call. Nothing that was not measured is reported.
type callStats struct{ session *Session }

// report reports what is measured now. It measures nothing that nobody reads.
func (r callStats) report() {
	c := r.session
	if !c.IsConnected() {
		return
	}
	if c.observers.takesStats() || c.resources.Report.TakesEvents() {
		c.Emit(event.Event{Name: "stats", Peer: c.peer, Fields: r.fields(false)})
	}
	if c.resources.Report.TakesStatus() {
		c.resources.Report.Status(r.line())
	}
}

// line returns the state of the call in one line, for a terminal.
func (r callStats) line() string {
	parts := append([]string{time.Since(r.session.started).Round(time.Second).String()}, r.session.Received.Status()...)
	if rtt := r.session.Call.Stats().RTT; rtt != nil {
		parts = append(parts, fmt.Sprintf("rtt %.1f ms", inMilliseconds(*rtt)))
	}
	return strings.Join(parts, " · ")
}

// fields returns the fields of an event with what is measured now; the certificates only if all is
// true, because they are long and stay the same.
func (r callStats) fields(all bool) []event.Field {
	c := r.session
	measured := c.Call.Stats()
	var fields []event.Field
	if measured.RTT != nil {
		fields = append(fields, event.Field{Key: "rtt", Value: inMilliseconds(*measured.RTT)})
	}
	tracks := [][]event.Field{}
	for _, s := range c.Received.Stats() {
		tracks = append(tracks, s.Fields())
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
	report := c.withMedia(measured.Report)
	c.observers.notifyStats(report)
	if !all {
		report = slices.DeleteFunc(report, func(o stats.Object) bool { return o["type"] == "certificate" })
	}
	if q := mediain.QualityFields(c.Received.Quality()); q != nil {
		fields = append(fields, event.Field{Key: "quality", Value: q})
	}
	return append(fields, event.Field{Key: "tracks", Value: tracks}, event.Field{Key: "channels", Value: channels}, event.Field{Key: "report", Value: report})
}

// Report returns the statistics of a call that has been placed, as they are now or were at its end.
// It may be called by any goroutine.
func (c *Session) Report() stats.Report { return c.withMedia(c.Call.Stats().Report) }

// withMedia adds to a report what is measured of received and of sent media.
func (c *Session) withMedia(report stats.Report) stats.Report {
	c.Received.AddTo(report)
	c.Sending.AddTo(report)
	return report
}

func sentFields(s stats.SentTrack) []event.Field {
	fields := event.Fields("direction", "out", "kind", s.Kind.String(), "codec", media.CodecName(s.Codec),
		"packets", s.Packets, "bytes", s.Bytes)
	if s.Lost != nil {
		fields = append(fields, event.Field{Key: "lost", Value: *s.Lost}, event.Field{Key: "jitter", Value: inMilliseconds(*s.Jitter)}, event.Field{Key: "rtt", Value: inMilliseconds(*s.RTT)})
	}
	return fields
}

func inMilliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// reportEnd reports how the call ended, and what was received in it.
func (r callStats) reportEnd(end peer.End, err, cause error) {
	c := r.session
	reason := "local-hangup"
	switch {
	case errors.Is(cause, ErrTimeout):
		reason = "timeout"
	case end == peer.PeerLeft:
		reason = "remote-hangup"
	case exit.CodeOf(err) == exit.Connection || exit.CodeOf(err) == exit.Negotiation:
		reason = "failed"
	case end == 0, err != nil && exit.CodeOf(err) != exit.Expectation && exit.CodeOf(err) != exit.Interrupted:
		reason = "error"
	}
	fields := event.Fields("reason", reason)
	if err != nil && exit.CodeOf(err) != exit.Interrupted {
		fields = append(fields, event.Field{Key: "error", Value: err.Error()})
	}
	ev := event.Event{Name: "end", Peer: c.peer, Fields: fields, Message: sanitize.Text(c.peer) + " hung up"}
	switch {
	case end == 0:
		ev.Message = ""
	case end == peer.Left:
		ev.Message = "hung up"
	}
	if c.IsConnected() {
		took := time.Since(c.started)
		ev.Fields = append(ev.Fields, event.Field{Key: "seconds", Value: took.Seconds()})
		if ev.Message != "" {
			ev.Message += fmt.Sprintf(" after %.1f s", took.Seconds())
		}
		r.reportSummary()
	}
	c.Emit(ev)
}

// reportSummary reports the statistics at the end of the call.
func (r callStats) reportSummary() {
	c := r.session
	ev := event.Event{Name: "stats", Peer: c.peer, Fields: r.fields(true)}
	if parts := c.Received.Summary(); len(parts) > 0 {
		ev.Output = fmt.Sprintf("received from %s: %s", sanitize.Text(c.peer), strings.Join(parts, "; "))
	}
	c.Emit(ev)
}
