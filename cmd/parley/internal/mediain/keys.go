package mediain

import "parley/cmd/parley/internal/event"

// Keys returns the keys of --expect, each with the kind of its values. Measure, events of the
// session and, for the keys of QualityKeys, QualityFacts give the values.
func Keys() map[string]event.Kind {
	keys := map[string]event.Kind{
		"connected":     event.Flag,
		"remote-hangup": event.Flag,
		"text":          event.Text,
		"channel":       event.Text,
		"track.video":   event.Flag,
		"video.codec":   event.Text,
		"video.size":    event.Text,
		"video.fps":     event.Number,
		"video.frames":  event.Number,
		"video.packets": event.Number,
		"video.lost":    event.Number,
		"video.bitrate": event.Number,
		"track.audio":   event.Flag,
		"audio.codec":   event.Text,
		"audio.frames":  event.Number,
		"audio.packets": event.Number,
		"audio.lost":    event.Number,
		"audio.bitrate": event.Number,
		"audio.tone":    event.Tone,
	}
	for k := range QualityKeys() {
		keys[k] = event.Number
	}
	return keys
}

// QualityKeys returns the keys that a quality.Analyzer measures, for --expect, scenarios and
// --require, each with the description that parley verify prints.
func QualityKeys() map[string]string {
	return map[string]string{
		"video.frames.identified": "frames of which the number was read",
		"video.frames.lost":       "frames that never arrived",
		"video.loss-bursts":       "times at which one or more frames were missing",
		"video.frames.repeated":   "frames that arrived again",
		"video.freeze.max":        "longest time without a new frame, in ms",
		"video.psnr":              "similarity to the frames that were sent, in dB",
		"video.latency":           "time from the source and back, in ms: median",
		"video.latency.p95":       "time from the source and back, in ms: 95th percentile",
		"audio.markers":           "markers that were read",
		"audio.gap":               "longest time without audio, in ms",
		"audio.latency":           "time from the source and back, in ms: median",
		"audio.latency.p95":       "time from the source and back, in ms: 95th percentile",
		"av-sync":                 "time by which video is later than its audio, in ms",
	}
}

// IsQuality reports whether a key is one of QualityKeys.
func IsQuality(key string) bool { _, ok := QualityKeys()[key]; return ok }
