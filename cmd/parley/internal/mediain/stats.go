package mediain

import (
	"fmt"
	"math"
	"slices"
	"time"

	"parley/cmd/parley/internal/event"
	"parley/media"
	"parley/media/decoder"
	"parley/media/quality"
	"parley/media/receiver"
	"parley/peer/stats"
)

// Stats are the statistics of a received track.
type Stats struct {
	receiver.Stats
	Tone          quality.ToneStats
	FrameIDs      quality.FrameIDStats
	mid           string
	ended         bool
	measured      bool // interruptions and interrupted are known
	interruptions int
	interrupted   time.Duration
}

func (t *receivedTrack) stats() Stats {
	if t.receiver == nil {
		return t.final
	}
	s := Stats{Stats: t.receiver.Stats(), mid: t.mid}
	if t.tone != nil {
		s.Tone = t.tone.stats()
	}
	if t.frameIDs != nil {
		s.FrameIDs = t.frameIDs.Stats()
	}
	s.interruptions, s.interrupted, s.measured = t.interruptions.sum()
	return s
}

// Stats returns the statistics of each track, audio before video. Of ended ones the latest are
// there.
func (r *Receivers) Stats() (all []Stats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, kind := range media.Kinds() {
		for _, t := range r.tracks {
			if s := t.stats(); t.kind == kind {
				all = append(all, s)
			}
		}
	}
	return all
}

// ByKind returns the statistics of each kind of which a packet has come.
func (r *Receivers) ByKind() (all []Stats) {
	tracks := r.Stats()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, kind := range media.Kinds() {
		parts := slices.DeleteFunc(slices.Clone(tracks), func(s Stats) bool { return s.Kind != kind || s.Packets == 0 })
		if past, ok := r.past[kind]; ok {
			parts = slices.Insert(parts, 0, past)
		}
		if len(parts) > 0 {
			all = append(all, combined(parts))
		}
	}
	return all
}

// combined returns the statistics of a kind: the sums over its tracks, where the layers of a track
// have its frames together, and the codec, size, tone and frame IDs of the largest track that has
// not ended.
func combined(tracks []Stats) Stats {
	var sum Stats
	frames := map[string]uint64{} // by mid
	main := tracks[0]
	for _, s := range tracks {
		if main.ended && !s.ended || main.ended == s.ended && s.Width*s.Height >= main.Width*main.Height {
			main = s
		}
	}
	sum = main
	sum.Packets, sum.Bytes, sum.Lost, sum.Duplicates, sum.Discarded, sum.Broken, sum.KeyFrames, sum.Bitrate, sum.Frames = 0, 0, 0, 0, 0, 0, 0, 0, 0
	for _, s := range tracks {
		sum.Packets += s.Packets
		sum.Bytes += s.Bytes
		sum.Lost += s.Lost
		sum.Duplicates += s.Duplicates
		sum.Discarded += s.Discarded
		sum.Broken += s.Broken
		sum.KeyFrames += s.KeyFrames
		sum.Bitrate += s.Bitrate
		if s.ended {
			sum.Frames += s.Frames
		} else {
			frames[s.mid] = max(frames[s.mid], s.Frames)
		}
		if !s.FirstFrame.IsZero() && (sum.FirstFrame.IsZero() || s.FirstFrame.Before(sum.FirstFrame)) {
			sum.FirstFrame = s.FirstFrame
		}
	}
	for _, n := range frames {
		sum.Frames += n
	}
	return sum
}

// Fields returns the fields of an event with the statistics.
func (s Stats) Fields() []event.Field {
	fields := event.Fields("direction", "in", "kind", s.Kind, "codec", s.Codec,
		"packets", s.Packets, "bytes", s.Bytes, "lost", s.Lost, "jitter", s.Jitter,
		"frames", s.Frames, "bitrate", int64(s.Bitrate))
	if s.Width > 0 {
		fields = append(fields, event.Field{Key: "size", Value: size(s.Width, s.Height)}, event.Field{Key: "fps", Value: s.FrameRate})
	}
	if s.Tone.Tone > 0 {
		fields = append(fields, event.Field{Key: "tone", Value: s.Tone.Tone})
	}
	if s.measured {
		fields = append(fields, event.Fields("gaps", s.interruptions, "gap_ms", s.interrupted.Milliseconds())...)
	}
	return fields
}

// sentence says what was received on the track.
func (s Stats) sentence() string {
	out := s.Kind + " " + s.Codec
	if s.Width > 0 {
		out += " " + size(s.Width, s.Height)
	}
	if s.Kind == "video" {
		out += fmt.Sprintf(", %d frames", s.Frames)
	}
	out += fmt.Sprintf(", %d packets, %d lost", s.Packets, s.Lost)
	if s.Tone.Tone > 0 {
		out += fmt.Sprintf(", a tone of %.0f Hz", s.Tone.Tone)
	}
	return out
}

// Status says what is received on each track, for a terminal.
func (r *Receivers) Status() (parts []string) {
	for _, s := range r.Stats() {
		part := s.Kind
		if s.Width > 0 {
			part += fmt.Sprintf(" %s %.0f/s", size(s.Width, s.Height), s.FrameRate)
		}
		if s.Tone.Tone > 0 {
			part += fmt.Sprintf(" %.0f Hz", s.Tone.Tone)
		}
		parts = append(parts, fmt.Sprintf("%s %.0f kbit/s, %d lost", part, s.Bitrate/1000, s.Lost))
	}
	return parts
}

// Summary says what was received on each track, at the end of the call.
func (r *Receivers) Summary() (parts []string) {
	for _, s := range r.Stats() {
		if tone, ok := r.lastTone.Load().(float64); ok && s.Kind == "audio" {
			s.Tone.Tone = tone
		}
		parts = append(parts, s.sentence())
	}
	return parts
}

// AddTo adds what has been measured of received media to a report of the call.
func (r *Receivers) AddTo(report stats.Report) {
	for _, s := range r.Stats() {
		for _, o := range report {
			if o["type"] == "inbound-rtp" && o["ssrc"] == s.SSRC {
				addFrames(o, s)
			}
		}
	}
	for _, s := range r.viewers() {
		for _, o := range report {
			if o["type"] == "inbound-rtp" && o["ssrc"] == s.SSRC {
				addDecoded(o, s)
			}
		}
	}
}

// addFrames adds the members of RTCInboundRtpStreamStats that need whole frames.
// keyFramesReceived is not W3C's, which counts decoded ones alone.
func addFrames(o stats.Object, s Stats) {
	o["packetsDiscarded"] = s.Discarded
	if s.Emitted > 0 {
		o["jitterBufferDelay"], o["jitterBufferEmittedCount"] = s.BufferDelay.Seconds()*perEmitted(s), s.Emitted
	}
	if s.Kind == "audio" {
		if s.Tone.Level > quality.Silence && s.Tone.Level < 0 {
			o["audioLevel"] = math.Pow(10, s.Tone.Level/20)
		}
		if s.Emitted > 0 {
			o["totalSamplesReceived"], o["totalSamplesDuration"] = s.Emitted, float64(s.Emitted)/opusRate
		}
		if s.Tone.Samples > 0 {
			o["totalAudioEnergy"] = s.Tone.Energy
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

// perEmitted is how many of what is emitted a frame is: each sample of a packet has waited as long
// as the packet.
func perEmitted(s Stats) float64 { return float64(s.Emitted) / float64(max(1, s.Frames)) }

// addDecoded adds what the viewer of the video has measured.
func addDecoded(o stats.Object, s decoder.ViewerStats) {
	o["framesDecoded"], o["keyFramesDecoded"], o["totalDecodeTime"] = s.Frames, s.KeyFrames, s.Took.Seconds()
	o["freezeCount"], o["totalFreezesDuration"] = s.Freezes, s.Frozen.Seconds()
}

func size(width, height int) string { return fmt.Sprintf("%dx%d", width, height) }
