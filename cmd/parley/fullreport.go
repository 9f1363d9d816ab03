package main

import (
	"math"

	"parley/media/decoder"
	"parley/media/localtrack"
	"parley/media/quality"
	"parley/peer/stats"
	"parley/peer/track"
)

// fullReport is the report of a call by W3C's names, with what its receivers,
// its sources and the viewer of the video have measured.
func (c *session) fullReport(r stats.Report) stats.Report {
	for _, s := range c.received.stats() {
		for _, o := range r {
			if o["type"] == "inbound-rtp" && o["ssrc"] == s.SSRC {
				addFrames(o, s)
			}
		}
	}
	for _, s := range c.received.viewers() {
		for _, o := range r {
			if o["type"] == "inbound-rtp" && o["ssrc"] == s.SSRC {
				addDecoded(o, s)
			}
		}
	}
	for _, kind := range kinds() {
		c.addSources(r, kind)
	}
	return r
}

// addFrames adds the members of RTCInboundRtpStreamStats that need whole frames.
// keyFramesReceived is not W3C's, which counts decoded ones alone.
func addFrames(o stats.Object, s receivedStats) {
	o["packetsDiscarded"] = s.Discarded
	if s.Emitted > 0 {
		o["jitterBufferDelay"], o["jitterBufferEmittedCount"] = s.BufferDelay.Seconds()*perEmitted(s), s.Emitted
	}
	if s.Kind == "audio" {
		if s.tone.Level > quality.Silence && s.tone.Level < 0 {
			o["audioLevel"] = math.Pow(10, s.tone.Level/20)
		}
		if s.Emitted > 0 {
			o["totalSamplesReceived"], o["totalSamplesDuration"] = s.Emitted, float64(s.Emitted)/opusRate
		}
		if s.tone.Samples > 0 {
			o["totalAudioEnergy"] = s.tone.Energy
		}
		return
	}
	o["framesReceived"], o["keyFramesReceived"], o["framesDropped"] = s.Frames, s.KeyFrames, s.Broken
	if s.FrameRate > 0 {
		o["framesPerSecond"] = s.FrameRate
	}
	if s.Width > 0 {
		o["frameWidth"], o["frameHeight"] = s.Width, s.Height
	}
}

// opusRate is the clock rate of Opus in Hz.
const opusRate = 48000

// perEmitted is how many of what is emitted a frame is: each sample of a packet has waited as long as the packet.
func perEmitted(s receivedStats) float64 { return float64(s.Emitted) / float64(max(1, s.Frames)) }

// addDecoded adds what the viewer of the video has measured.
func addDecoded(o stats.Object, s decoder.ViewerStats) {
	o["framesDecoded"], o["keyFramesDecoded"], o["totalDecodeTime"] = s.Frames, s.KeyFrames, s.Took.Seconds()
	o["freezeCount"], o["totalFreezesDuration"] = s.Freezes, s.Frozen.Seconds()
}

// measuredSource is a source that knows what it has made.
type measuredSource interface{ SourceStats() localtrack.Stats }

// addSources adds what the source of a kind that is sent now has measured, and each of its layers.
func (c *session) addSources(r stats.Report, kind string) {
	sent := c.sending.track(kind)
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
			addSource(o, s)
		} else {
			addEncoded(o, s)
		}
	}
}

// addSource adds the members of RTCAudioSourceStats and RTCVideoSourceStats.
func addSource(o stats.Object, s localtrack.Stats) {
	if o["kind"] == "audio" {
		if s.Duration > 0 {
			o["totalSamplesDuration"] = s.Duration.Seconds()
		}
		return
	}
	o["frames"] = s.Frames
	addPicture(o, "width", "height", s)
}

func addPicture(o stats.Object, width, height string, s localtrack.Stats) {
	if s.Width > 0 {
		o[width], o[height] = s.Width, s.Height
	}
	if s.FrameRate > 0 {
		o["framesPerSecond"] = s.FrameRate
	}
}

// addEncoded adds the members of RTCOutboundRtpStreamStats that an encoder knows. What it encodes is sent at once.
func addEncoded(o stats.Object, s localtrack.Stats) {
	if o["kind"] != "video" {
		return
	}
	addPicture(o, "frameWidth", "frameHeight", s)
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
