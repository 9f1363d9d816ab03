// Package mediain receives the audio and video of a call.
package mediain

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/event"
	"parley/media"
	"parley/media/decoder"
	"parley/media/device"
	"parley/media/localtrack"
	"parley/media/quality"
	"parley/media/receiver"
	"parley/media/recorder"
	"parley/media/testsignal"
	"parley/peer"
)

// Options are the options of receivers.
type Options struct {
	config.MediaIn
	Peer         string                                          // name of the peer, in events and file names
	Begin        time.Time                                       // of the call
	Measurements Measurements                                    // from the start of the call
	Test         config.MediaOut                                 // the test video that comes back
	Epoch        *testsignal.Epoch                               // of test sources
	Decodable    []string                                        // video codecs that are offered, nil for all
	KeepAll      bool                                            // codecs are offered that cannot be shown or played
	RecordPartly bool                                            // what a recording lacks is no error
	Connected    func() bool                                     // reports whether the call has been connected
	Forward      func(webrtc.RTPCodecType) *localtrack.Forwarder // sends back an added track, nil for none
	EndForward   func(*localtrack.Forwarder)                     // sends back a track no more

	Recordings *Recordings
	Speaker    *device.Speaker // nil to play nothing
	Watcher    Watcher         // of video, nil for none

	Emit    func(event.Event)             // reports an event
	Observe func(string, event.Value)     // observes a value of a key of Keys
	Fail    func(error)                   // ends the call with an error of a sink
	Warn    func(text string)             // reports a warning, whose text is not to be trusted
	Info    func(format string, a ...any) // reports something that is not an event
	Logger  *slog.Logger
}

// Measurements are what is measured of received media.
type Measurements struct {
	Tone     bool // the tone and level of audio
	FrameIDs bool // the frame IDs of the test source
	Quality  bool // what quality.Analyzer reports
}

// Receivers are the tracks that a call receives, with what records, shows, plays and measures them.
type Receivers struct {
	Options
	ctx  context.Context // of the call
	call *peer.Call      // nil before it is placed
	work sync.WaitGroup  // what receive starts

	layers      layers                 // of the goroutine of the call
	recorder    *recorder.Recorder     // nil without --record
	recorded    map[string]*recordSink // by mid, of the goroutine of the call
	recordPaths []string               // that the recorder was given

	Analyzer *quality.Analyzer // of test sources that come back, nil for none
	Changes  *changes
	measured map[string]event.Value // the latest values that were measured, by key; of one goroutine at a time

	lastTone atomic.Value // float64, Hz: the latest tone
	metering atomic.Bool  // received audio is decoded to measure its tone and level

	disconnectedAt time.Time // since when nothing has come; of the goroutine of the call

	mu     sync.Mutex // guards the following
	tracks []*receivedTrack
	past   map[string]Stats // by kind, the sums of ended tracks that are forgotten
}

// New returns receivers without tracks. They receive until ctx is done.
func New(ctx context.Context, o Options) *Receivers {
	r := &Receivers{Options: o, ctx: ctx, layers: layers{}, recorded: map[string]*recordSink{}, Changes: newChanges(), measured: map[string]event.Value{}}
	r.Analyzer = r.newAnalyzer()
	r.metering.Store(o.Measurements.Tone)
	return r
}

// Place says which call the tracks are received in.
func (r *Receivers) Place(call *peer.Call) { r.call = call }

// Finish waits until nothing is received any more, once ctx has ended.
func (r *Receivers) Finish() { r.work.Wait() }

// SetMuted notes that the peer has muted or unmuted a track.
func (r *Receivers) SetMuted(mid string, muted bool) {
	if recorded := r.recorded[mid]; recorded != nil {
		recorded.SetMuted(muted)
	}
}

// maxEndedTracks is how many ended tracks of a call are in its statistics, the latest. A peer may
// add and remove any number.
const maxEndedTracks = 16

// receivedTrack is a track, or a layer of one (simulcast), that is received.
type receivedTrack struct {
	kind, mid     string
	interruptions *interruptions
	receiver      *receiver.Receiver     // nil once it has ended
	tone          *toneSink              // nil for video
	frameIDs      *quality.FrameIDReader // nil if frame IDs are not read
	viewer        *decoder.Viewer        // nil if nobody views it, or the other layers of the track
	final         Stats                  // once it has ended
}

func (r *Receivers) add(t *receivedTrack) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tracks = append(r.tracks, t)
}

// end keeps the statistics of a track that has ended and nothing else of it.
func (r *Receivers) end(t *receivedTrack) {
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
		r.past = map[string]Stats{}
	}
	r.past[forgotten.kind] = combined([]Stats{r.past[forgotten.kind], forgotten.final})
}

// any reports whether media have come.
func (r *Receivers) any() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.tracks) > 0
}

// suspectInterruption notes that the path has had a fault, or has changed.
func (r *Receivers) suspectInterruption(cause string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.tracks {
		t.interruptions.suspect(cause)
	}
}

// viewers returns the statistics of the viewers of tracks that have not ended.
func (r *Receivers) viewers() (all []decoder.ViewerStats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.tracks {
		if t.viewer != nil {
			all = append(all, t.viewer.Stats())
		}
	}
	return all
}

// Receive reads a track of the peer until it ends.
func (r *Receivers) Receive(e peer.TrackReceived) {
	kind := e.Track.Kind()
	forwarder, _ := e.Local.(*localtrack.Forwarder)
	if forwarder == nil && r.Forward != nil {
		forwarder = r.Forward(kind)
	}
	var rtp *receiver.Receiver
	track := &receivedTrack{kind: kind.String(), mid: e.Mid, interruptions: &interruptions{lost: func() uint64 { return rtp.Lost() }, report: r.reportInterruption}}
	sinks := []media.FrameSink{&firstFrame{report: func(f media.Frame) { r.reportFirstFrame(kind.String(), f) }}, track.interruptions}
	var recorded *recordSink // nil for none
	shared, first := r.layers.sinks(e, func() { rtp.RequestKeyFrame() }, func(request func()) (all []media.FrameSink) {
		if recorded = r.recordTrack(e, request); recorded != nil {
			all = append(all, recorded)
			r.recorded[e.Mid] = recorded
		}
		if sink := r.analyzeTrack(e, request); sink != nil {
			all = append(all, sink)
		}
		if track.viewer = r.watchTrack(e, request); track.viewer != nil {
			all = append(all, track.viewer)
		}
		return all
	})
	if !first {
		forwarder = nil // what goes back is one stream
	}
	sinks = append(sinks, shared...)
	wait := time.Duration(0)
	playback, stopPlayback := r.playTrack(kind)
	if playback != nil {
		sinks, wait = append(sinks, playback), playWait
	}
	if kind == webrtc.RTPCodecTypeAudio {
		track.tone = &toneSink{enabled: &r.metering}
		sinks = append(sinks, track.tone)
	}
	if kind == webrtc.RTPCodecTypeVideo && r.Measurements.FrameIDs {
		track.frameIDs = &quality.FrameIDReader{}
		sinks = append(sinks, track.frameIDs)
	}
	var forward receiver.PacketSink // not a nil *localtrack.Forwarder
	if forwarder != nil {
		forward = forwarder
	}
	rtp = receiver.New(e.Track, receiver.Options{
		OrientationExtensionID: func() uint8 { return orientationExtensionID(e.Receiver) },
		RTCP:                   reportsOf(e), Sinks: sinks, Forward: forward, Wait: wait, RTT: r.call.RTT, Changed: r.Changes.Post, Logger: r.Logger,
		RequestKeyFrame: func() {
			// An error here is one of a connection that is going down.
			_ = e.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(e.Track.SSRC())}})
		},
	})
	track.receiver = rtp
	r.add(track)
	r.work.Go(func() {
		defer stopPlayback()
		if err := rtp.Run(r.ctx); err != nil {
			r.Fail(err)
		}
		r.end(track)
		if recorded != nil && e.RID == "" {
			recorded.Close()
		}
		if forwarder != nil && r.ctx.Err() == nil {
			r.EndForward(forwarder) // the peer has ended what it sends back
		}
	})
}

// orientationExtensionID returns the ID of the header extension with the orientation of video, 0 if
// it was not negotiated.
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

func (r *Receivers) reportFirstFrame(kind string, f media.Frame) {
	ms := f.Arrival.Sub(r.Begin).Milliseconds()
	fields := event.Fields("kind", kind, "first", true)
	say := fmt.Sprintf("first %s after %d ms", kind, ms)
	if f.Width > 0 {
		fields = append(fields, event.Field{Key: "size", Value: size(f.Width, f.Height)})
		say = fmt.Sprintf("first frame, %s, after %d ms", size(f.Width, f.Height), ms)
	}
	r.Emit(event.Event{Name: "frame", Peer: r.Peer, Fields: append(fields, event.Field{Key: "ms", Value: ms}), Message: say, Detail: true})
}

// toneSink measures the tone of a track once it is enabled: decoding takes more CPU time than
// everything else that is done with received audio.
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
