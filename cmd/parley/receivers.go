package main

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/event"
	"parley/media"
	"parley/media/decoder"
	"parley/media/localtrack"
	"parley/media/quality"
	"parley/media/receiver"
	"parley/peer"
)

// receivers are the tracks that a call receives, with what measures them.
type receivers struct {
	mu     sync.Mutex // guards the following
	tracks []*receivedTrack
	past   map[string]receivedStats // by kind, the sums of ended tracks that are forgotten
}

// maxEndedTracks is how many ended tracks of a call are in its statistics, the latest. A peer may add and
// remove any number.
const maxEndedTracks = 16

// receivedTrack is a track, or a layer of one (simulcast), that is received.
type receivedTrack struct {
	kind, mid     string
	interruptions *interruptions
	receiver      *receiver.Receiver     // nil once it has ended
	tone          *toneSink              // nil for video
	frameIDs      *quality.FrameIDReader // nil if frame IDs are not read
	viewer        *decoder.Viewer        // nil if nobody views it, or the other layers of the track
	final         receivedStats          // once it has ended
}

func (r *receivers) add(t *receivedTrack) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tracks = append(r.tracks, t)
}

// end keeps the statistics of a track that has ended and nothing else of it.
func (r *receivers) end(t *receivedTrack) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.final = t.stats()
	t.final.ended, t.final.Bitrate = true, 0
	t.receiver, t.tone, t.frameIDs, t.viewer = nil, nil, nil, nil
	ended := 0
	for _, other := range r.tracks {
		if other.receiver == nil {
			ended++
		}
	}
	if ended <= maxEndedTracks {
		return
	}
	oldest := slices.IndexFunc(r.tracks, func(t *receivedTrack) bool { return t.receiver == nil })
	forgotten := r.tracks[oldest]
	r.tracks = slices.Delete(r.tracks, oldest, oldest+1)
	if r.past == nil {
		r.past = map[string]receivedStats{}
	}
	r.past[forgotten.kind] = combined([]receivedStats{r.past[forgotten.kind], forgotten.final})
}

// any reports whether media have come.
func (r *receivers) any() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.tracks) > 0
}

// suspect notes that the path has had a fault, or has changed.
func (r *receivers) suspect(cause string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.tracks {
		t.interruptions.suspect(cause)
	}
}

// viewers returns the statistics of the viewers of tracks that have not ended.
func (r *receivers) viewers() (all []decoder.ViewerStats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.tracks {
		if t.viewer != nil {
			all = append(all, t.viewer.Stats())
		}
	}
	return all
}

// receivedStats are the statistics of a received track.
type receivedStats struct {
	receiver.Stats
	tone          quality.ToneStats
	frameIDs      quality.FrameIDStats
	mid           string
	ended         bool
	measured      bool // interruptions and interrupted are known
	interruptions int
	interrupted   time.Duration
}

func (t *receivedTrack) stats() receivedStats {
	if t.receiver == nil {
		return t.final
	}
	s := receivedStats{Stats: t.receiver.Stats(), mid: t.mid}
	if t.tone != nil {
		s.tone = t.tone.stats()
	}
	if t.frameIDs != nil {
		s.frameIDs = t.frameIDs.Stats()
	}
	s.interruptions, s.interrupted, s.measured = t.interruptions.sum()
	return s
}

// stats returns the statistics of each track, audio before video. Of ended ones the latest are there.
func (r *receivers) stats() (all []receivedStats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, kind := range kinds() {
		for _, t := range r.tracks {
			if s := t.stats(); t.kind == kind {
				all = append(all, s)
			}
		}
	}
	return all
}

// byKind returns the statistics of each kind of which a packet has come.
func (r *receivers) byKind() (all []receivedStats) {
	tracks := r.stats()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, kind := range kinds() {
		parts := slices.DeleteFunc(slices.Clone(tracks), func(s receivedStats) bool { return s.Kind != kind || s.Packets == 0 })
		if past, ok := r.past[kind]; ok {
			parts = slices.Insert(parts, 0, past)
		}
		if len(parts) > 0 {
			all = append(all, combined(parts))
		}
	}
	return all
}

// combined returns the statistics of a kind: the sums over its tracks, where the layers of a track have its
// frames together, and the codec, size, tone and frame IDs of the largest track that has not ended.
func combined(tracks []receivedStats) receivedStats {
	var sum receivedStats
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

// receive reads a track of the peer until it ends.
func (c *session) receive(e peer.TrackReceived) {
	kind := e.Track.Kind()
	c.expect.Observe("track."+kind.String(), event.TextOf("true"))
	c.reportTrack(kind, e.Track.Codec().MimeType, "in")
	forwarder, _ := e.Local.(*localtrack.Forwarder)
	if forwarder == nil && c.echo {
		forwarder = c.sending.addForwarder(kind)
	}
	var r *receiver.Receiver
	track := &receivedTrack{kind: kind.String(), mid: e.Mid, interruptions: &interruptions{lost: func() uint64 { return r.Lost() }, report: c.reportInterruption}}
	sinks := []media.FrameSink{&firstFrame{report: func(f media.Frame) { c.reportFirstFrame(kind.String(), f) }}, track.interruptions}
	var recorded *recordSink // nil for none
	shared, first := c.layers.sinks(e, func() { r.RequestKeyFrame() }, func(request func()) (all []media.FrameSink) {
		if recorded = c.recordTrack(e, request); recorded != nil {
			all = append(all, recorded)
			c.recorded[e.Mid] = recorded
		}
		if sink := c.analyzeTrack(e, request); sink != nil {
			all = append(all, sink)
		}
		if track.viewer = c.watchTrack(e, request); track.viewer != nil {
			all = append(all, track.viewer)
		}
		return all
	})
	if !first {
		forwarder = nil // what goes back is one stream
	}
	sinks = append(sinks, shared...)
	wait := time.Duration(0)
	playback, stopPlayback := c.playTrack(kind)
	if playback != nil {
		sinks, wait = append(sinks, playback), playWait
	}
	if kind == webrtc.RTPCodecTypeAudio {
		track.tone = &toneSink{enabled: &c.metering}
		sinks = append(sinks, track.tone)
	}
	if kind == webrtc.RTPCodecTypeVideo && c.analysis.frameIDs {
		track.frameIDs = &quality.FrameIDReader{}
		sinks = append(sinks, track.frameIDs)
	}
	var forward receiver.PacketSink // not a nil *localtrack.Forwarder
	if forwarder != nil {
		forward = forwarder
	}
	r = receiver.New(e.Track, receiver.Options{
		OrientationExtensionID: func() uint8 { return orientationExtensionID(e.Receiver) },
		RTCP:                   reportsOf(e), Sinks: sinks, Forward: forward, Wait: wait, RTT: c.call.RTT, Logger: c.logger,
		RequestKeyFrame: func() {
			// An error here is one of a connection that is going down.
			_ = e.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(e.Track.SSRC())}})
		},
	})
	track.receiver = r
	c.received.add(track)
	c.work.Go(func() {
		defer stopPlayback()
		if err := r.Run(c.ctx); err != nil {
			c.fail(err)
		}
		c.received.end(track)
		if recorded != nil && e.RID == "" {
			recorded.Close()
		}
		if forwarder != nil && c.ctx.Err() == nil {
			c.call.RemoveTrack(forwarder, nil) // the peer has ended what it sends back
		}
	})
}

// orientationExtensionID returns the ID of the header extension with the orientation of video, 0 if it was not
// negotiated.
func orientationExtensionID(r *webrtc.RTPReceiver) uint8 {
	for _, e := range r.GetParameters().HeaderExtensions {
		if e.URI == media.VideoOrientationURI && e.ID > 0 && e.ID < 256 {
			return uint8(e.ID)
		}
	}
	return 0
}

// firstFrame reports the first frame of a track.
type firstFrame struct {
	once   sync.Once
	report func(media.Frame)
}

// WriteFrame implements media.FrameSink.
func (f *firstFrame) WriteFrame(frame media.Frame) error {
	f.once.Do(func() { f.report(frame) })
	return nil
}

func (c *session) reportFirstFrame(kind string, f media.Frame) {
	ms := f.Arrival.Sub(c.offered).Milliseconds()
	fields := event.Fields("kind", kind, "first", true)
	say := fmt.Sprintf("first %s after %d ms", kind, ms)
	if f.Width > 0 {
		fields = append(fields, event.Field{Key: "size", Value: size(f.Width, f.Height)})
		say = fmt.Sprintf("first frame, %s, after %d ms", size(f.Width, f.Height), ms)
	}
	c.emit(event.Event{Name: "frame", Peer: c.name, Fields: append(fields, event.Field{Key: "ms", Value: ms}), Message: say, Detail: true})
}

// toneSink measures the tone of a track once it is enabled: decoding takes more CPU time than everything else that is done
// with received audio.
type toneSink struct {
	enabled *atomic.Bool
	meter   atomic.Pointer[quality.ToneMeter] // nil before the first frame that is measured
}

// WriteFrame implements media.FrameSink.
func (s *toneSink) WriteFrame(f media.Frame) error {
	if !s.enabled.Load() {
		return nil
	}
	m := s.meter.Load()
	if m == nil {
		m = quality.NewToneMeter()
		s.meter.Store(m)
	}
	return m.WriteFrame(f)
}

func (s *toneSink) stats() quality.ToneStats {
	if m := s.meter.Load(); m != nil {
		return m.Stats()
	}
	return quality.ToneStats{Level: quality.Silence}
}

// metersAudio reports whether the tone and level of received audio are measured from the start of the call.
func (c *session) metersAudio() bool {
	return c.analysis.tone || slices.ContainsFunc(c.Checks, func(k event.Check) bool { return k.Key == "audio.tone" })
}

// measure lets the expectations observe what the receivers have measured.
func (c *session) measure() {
	c.measureQuality(false)
	c.observers.notifyMeasurement()
	for _, s := range c.received.stats() {
		if s.Packets > 0 && !s.ended {
			c.expect.Observe(s.Kind+".codec", event.TextOf(s.Codec))
			if s.Width > 0 {
				c.expect.Observe(s.Kind+".size", event.TextOf(size(s.Width, s.Height)))
			}
		}
	}
	for _, s := range c.received.byKind() {
		observe := func(key string, v event.Value) { c.expect.Observe(s.Kind+"."+key, v) }
		observe("packets", event.NumberOf(s.Packets))
		observe("lost", event.NumberOf(s.Lost))
		observe("frames", event.NumberOf(s.Frames))
		observe("bitrate", event.NumberOf(math.Round(s.Bitrate)))
		if s.Width > 0 {
			observe("fps", event.NumberOf(math.Round(s.FrameRate*10)/10))
		}
		if s.tone.Tone > 0 {
			c.lastTone.Store(s.tone.Tone)
			observe("tone", event.NumberOf(math.Round(s.tone.Tone*10)/10))
		}
	}
}
