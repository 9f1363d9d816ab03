package mediaout

import (
	"parley/media"
	"parley/media/localtrack"
	"parley/peer/stats"
	"parley/peer/track"
)

// measuredSource is a source that knows what it has made.
type measuredSource interface{ SourceStats() localtrack.Stats }

// AddTo adds what the sources that are sent now have measured to a report of the call.
func (s *Senders) AddTo(r stats.Report) {
	for _, kind := range media.Kinds() {
		s.addSource(r, kind)
	}
}

// addSource adds what the source of a kind has measured, and each of its layers.
func (s *Senders) addSource(r stats.Report, kind string) {
	sent := s.track(kind)
	layers := map[any]any{nil: sent} // by RID; a stream by itself has none
	if l, ok := sent.(track.Simulcast); ok && len(l.Layers()) > 0 {
		for _, layer := range l.Layers() {
			layers[layer.RID()], layers[nil] = layer, layer // the last is the largest
		}
	}
	for _, o := range r {
		if o["kind"] != kind || o["mediaSourceId"] == nil && o["type"] != "media-source" {
			continue
		}
		source, ok := layers[o["rid"]].(measuredSource)
		if !ok {
			continue
		}
		if s := source.SourceStats(); o["type"] == "media-source" {
			addSourceStats(o, s)
		} else {
			addEncoded(o, s)
		}
	}
}

// addSourceStats adds the members of RTCAudioSourceStats and RTCVideoSourceStats.
func addSourceStats(o stats.Object, s localtrack.Stats) {
	if o["kind"] == "audio" {
		if s.Duration > 0 {
			o["totalSamplesDuration"] = s.Duration.Seconds()
		}
		return
	}
	o["frames"] = s.Frames
	addSize(o, "width", "height", s)
}

func addSize(o stats.Object, width, height string, s localtrack.Stats) {
	if s.Width > 0 {
		o[width], o[height] = s.Width, s.Height
	}
	if s.FrameRate > 0 {
		o["framesPerSecond"] = s.FrameRate
	}
}

// addEncoded adds the members of RTCOutboundRtpStreamStats that an encoder knows. What it encodes
// is sent at once.
func addEncoded(o stats.Object, s localtrack.Stats) {
	if o["kind"] != "video" {
		return
	}
	addSize(o, "frameWidth", "frameHeight", s)
	if s.Encoder != "" {
		o["framesEncoded"], o["keyFramesEncoded"], o["encoderImplementation"] = o["framesSent"], o["keyFramesSent"], s.Encoder
	}
	if s.Bitrate > 0 {
		o["targetBitrate"] = s.Bitrate
	}
	if s.Limitation != "" {
		o["qualityLimitationReason"] = s.Limitation
	}
}
