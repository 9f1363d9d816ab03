package main

import (
	"math"

	"parley/media"
	"parley/peer"
)

// fullReport is the report of a call by W3C's names, with what its receivers
// have measured of whole frames.
func (c *session) fullReport(r peer.Report) peer.Report {
	for _, s := range c.received() {
		for _, o := range r {
			if o["type"] == "inbound-rtp" && o["ssrc"] == s.SSRC {
				addFrames(o, s)
			}
		}
	}
	return r
}

// addFrames adds the members of RTCInboundRtpStreamStats that need whole frames.
// keyFramesReceived is not W3C's, which counts decoded ones alone.
func addFrames(o peer.Object, s media.Stats) {
	if s.Kind == "audio" {
		if s.Level > -100 && s.Level < 0 {
			o["audioLevel"] = math.Pow(10, s.Level/20)
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
