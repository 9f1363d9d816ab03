package observe

import (
	"encoding/json"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/probe/facts"
	"parley/media"
	"parley/peer/stats"
	"slices"
)

// Bounds of what is kept, in bytes: of the peer's events, and of one value of theirs.
const (
	maxRemoteEvents = 8 << 20
	maxFact         = 4 << 10
)

// A RemoteEvent is what a probe uses of an event of the peer.
type RemoteEvent struct {
	Event, Code, Connection, Label, State, Direction, Text, Kind, Error string

	ID     json.RawMessage
	OK     bool
	Muted  bool
	Tracks []struct {
		Direction, Kind, Size       string
		Packets, Lost, Frames, Tone float64
	}
	Report stats.Report
}

// facts returns the facts of an event.
func (e *RemoteEvent) facts() (all []facts.Fact) {
	add := func(key, value string) {
		if value != "" {
			all = append(all, facts.Fact{Key: "remote." + key, Value: event.TextOf(value[:min(len(value), maxFact)])})
		}
	}
	switch e.Event {
	case "code":
		add("code", e.Code)
	case "state":
		add("state", e.Connection)
	case "interruption":
		add("interruption", e.Kind)
	case "stats":
		all = append(all, e.statsFacts()...)
	}
	switch incoming := e.Direction == "in"; {
	case e.Event == "text" && incoming:
		add("text", e.Text)
	case e.Event == "track" && incoming:
		add("track", e.Kind)
	case e.Event == "channel" && e.State == "open":
		add("channel", e.Label)
	}
	return all
}

func (e *RemoteEvent) statsFacts() (all []facts.Fact) {
	for _, t := range e.Tracks {
		if t.Direction != "in" || !slices.Contains(media.Kinds(), t.Kind) {
			continue
		}
		for key, v := range map[string]float64{"packets": t.Packets, "lost": t.Lost, "frames": t.Frames, "tone": t.Tone} {
			all = append(all, facts.Fact{Key: "remote." + t.Kind + "." + key, Value: event.NumberOf(v)})
		}
		if t.Kind == "video" && t.Size != "" {
			all = append(all, facts.Fact{Key: "remote.video.size", Value: event.TextOf(t.Size[:min(len(t.Size), maxFact)])})
		}
	}
	for _, f := range facts.OfReport(e.Report) {
		if text := f.Value.String(); text != "" && slices.Contains([]string{"role", "dtls", "tls"}, f.Key) {
			all = append(all, facts.Fact{Key: "remote." + f.Key, Value: event.TextOf(text[:min(len(text), maxFact)])})
		}
	}
	return all
}

// NoteRemote notes an event of the peer, with its line of JSON.
func (w *Observer) NoteRemote(line []byte, e RemoteEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.remoteEvents.Len()+len(line) < maxRemoteEvents {
		w.remoteEvents.Write(append(line, '\n'))
	}
	for _, f := range e.facts() {
		w.Add(f.Key, f.Value)
	}
	switch {
	case e.Event == "mute" && e.Kind != "":
		w.noteMuted("remote.", e.Muted, e.Kind[:min(len(e.Kind), maxFact)])
	case e.Event == "channel" && e.State == "closed":
		w.Remove("remote.channel", e.Label)
	}
	w.compareCodes()
	for _, t := range e.Tracks {
		if sent, ok := w.LatestValue(t.Kind + ".sent").Number(); ok && t.Direction == "in" {
			w.noteNumber(t.Kind+".unreported-packets", sent-t.Packets-t.Lost)
		}
	}
}

// compareCodes notes whether both peers show the same verification code. The caller holds the lock.
func (w *Observer) compareCodes() {
	if theirs := w.Latest("remote.code"); theirs != "" && w.code != "" {
		w.Note("codes", map[bool]string{true: "same", false: "other"}[theirs == w.code])
	}
}
