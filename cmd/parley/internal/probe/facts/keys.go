package facts

import (
	"maps"
	"strings"

	"parley/cmd/parley/internal/event"
	"parley/media"
)

// Keys returns the keys that expect and never of a scenario know: those of calls, which are those
// of --expect, and those that only a probe observes.
func Keys(ofCalls map[string]event.Kind) map[string]event.Kind {
	keys := maps.Clone(ofCalls)
	maps.Copy(keys, map[string]event.Kind{
		"answered": event.Flag, "reoffered": event.Flag, "signaling.leave": event.Flag, "state": event.Text, "failed": event.Flag, "disconnected": event.Flag, "setup.ms": event.Number, "rtt.ms": event.Number,
		"candidate": event.Text, "candidate.ours": event.Text, "candidate.mdns": event.Flag, "candidates.end": event.Flag,
		"pair": event.Text, "pair.protocol": event.Text, "relayed": event.Text, "warning": event.Text, "message": event.Text, "channel.closed": event.Text,
		"answer.sections": event.Number, "answer.bundled": event.Number, "answer.unbundled": event.Number, "answer.muxed": event.Number, "answer.mids": event.Text, "answer.order": event.Text,
		"answer.setup": event.Text, "answer.crypto": event.Flag, "answer.fingerprint": event.Text, "answer.ice": event.Text, "answer.trickle": event.Flag,
		"answer.max-message": event.Number, "answer.sctp": event.Text, "ufrags": event.Number, "answer.profile": event.Text,
		"answer.not-offered": event.Text, "answer.parley": event.Flag, "answer.number": event.Text, "answer.repeated": event.Text, "answer.rejection": event.Text, "answer.feedback": event.Text, "answer.origin": event.Text,
		"answer.rejected": event.Text, "answer.codec.audio": event.Text, "answer.codec.video": event.Text, "answer.direction.audio": event.Text, "answer.direction.video": event.Text,
		"muted": event.Text, "unmuted": event.Text, "crossed": event.Flag, "codes": event.Text, "remote.code": event.Text, "remote.state": event.Text, "remote.text": event.Text, "remote.channel": event.Text, "remote.track": event.Text,
		"remote.muted": event.Text, "remote.unmuted": event.Text, "remote.interruption": event.Text, "remote.role": event.Text, "remote.dtls": event.Text, "remote.tls": event.Text, "remote.video.size": event.Text,
		"dtls": event.Text, "tls": event.Text, "role": event.Text, "certificate": event.Text,
	})
	for _, kind := range media.Kinds() {
		for _, k := range []string{"level", "jitter", "keyframes", "corrupt-frames", "duplicates", "frame-ids", "frame-id", "idle.ms", "reported", "reported.lost", "nacks", "plis", "sent"} {
			keys[kind+"."+k] = event.Number
		}
		for _, k := range []string{"packets", "lost", "frames"} {
			keys["remote."+kind+"."+k] = event.Number
		}
		keys["remote."+kind+".tone"], keys[kind+".unreported-packets"] = event.Tone, event.Number
		keys["sending."+kind], keys["refused."+kind] = event.Text, event.Flag
	}
	return keys
}

// Validity returns how long the values of a key hold.
func (f *Facts) Validity(key string) Validity {
	switch key {
	case "connected", "state", "failed", "disconnected", "pair", "pair.protocol", "relayed", "role", "dtls", "tls", "certificate", "codes",
		"remote.code", "remote.state", "remote.role", "remote.dtls", "remote.tls", "remote.video.size", "video.size", "video.codec", "audio.codec":
		return State
	case "channel", "muted", "unmuted", "track.audio", "track.video", "remote.channel", "remote.track", "remote.muted", "remote.unmuted", "answer.parley":
		return SetState
	case "answer.number", "answer.repeated", "answer.rejection":
		return Occurrence
	}
	switch {
	case IsOfAnswer(key), strings.HasPrefix(key, "sending."), strings.HasPrefix(key, "refused."):
		return SetState
	case f.keys[key] == event.Number || f.keys[key] == event.Tone:
		return State
	}
	return Occurrence
}

// IsOfAnswer reports whether the values of a key are those of the latest answer.
func IsOfAnswer(key string) bool {
	switch key {
	case "answer.number", "answer.repeated", "answer.rejection", "answer.parley":
		return false
	}
	return strings.HasPrefix(key, "answer.")
}
