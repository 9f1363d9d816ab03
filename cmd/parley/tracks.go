package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/sanitize"
	"parley/media"
	"parley/media/device"
	"parley/media/localtrack"
	"parley/media/quality"
	"parley/media/receiver"
	"parley/media/source"
	"parley/peer"
	"parley/peer/track"
)

// What a call asks of its tracks is what media offers.
var (
	_ track.KeyFrameRequester = source.KeyFrameRequester(nil)
	_ track.KeyFrameRequester = (*localtrack.Forwarder)(nil)
	_ track.CodecReporter     = source.Source(nil)
)

// openMedia opens what is sent and where is recorded, before anybody is called:
// a missing file should not cost a call. offer is what an echo answers.
func (c *session) openMedia(ctx context.Context, offer *peer.Description) error {
	if c.echo {
		c.mirror(offer)
	}
	if err := c.openSources(ctx); err != nil {
		return err
	}
	return c.openRecorder(offer)
}

// openSources opens what --video and --audio name. Where both name the same stream it is opened once, and its tracks share
// one schedule.
func (c *session) openSources(ctx context.Context) error {
	if c.video == c.audio && c.video != "" && c.video != "test" && !device.Names(c.video) {
		video, audio, err := source.Open(c.video, c.videoOptions(ctx), c.audioOptions(ctx))
		if err == nil {
			c.sources = append(c.sources, video, audio)
		}
		return err
	}
	if c.video != "" {
		s, err := c.openVideo(ctx, c.video)
		if err != nil {
			return err
		}
		c.sources = append(c.sources, s)
	}
	if c.audio != "" {
		s, err := c.openAudio(ctx, c.audio)
		if err != nil {
			return err
		}
		c.sources = append(c.sources, s)
	}
	return nil
}

func (c *session) videoOptions(ctx context.Context) source.VideoOptions {
	return source.VideoOptions{
		Width: c.width, Height: c.height, FrameRate: c.rate, Bitrate: c.bitrate, Loop: c.loop, Logger: c.logger,
		NewEncoder: device.NewEncoder(c.encode), Stdin: c.stdin, Opening: ctx, Epoch: c.epoch,
	}
}

func (c *session) audioOptions(ctx context.Context) source.AudioOptions {
	return source.AudioOptions{Loop: c.loop, Stdin: c.stdin, Opening: ctx, Epoch: c.epoch, Logger: c.logger}
}

func (c *session) openVideo(ctx context.Context, spec string) (source.Source, error) {
	if !device.Names(spec) && !c.encodesTest(spec) {
		return source.OpenVideo(spec, c.videoOptions(ctx))
	}
	return c.devices.OpenVideo(spec, device.VideoOptions{
		Codec: c.encode, Width: c.width, Height: c.height, FrameRate: c.rate, Bitrate: c.bitrate, Simulcast: c.simulcast,
		Warn: c.tellDevice, Logger: c.logger,
	})
}

// encodesTest tells if the test picture has to come from an encoder of this build: by itself it is VP8, each picture a key
// frame, in one size.
func (c *session) encodesTest(spec string) bool {
	other := c.encode != "" && c.encode != webrtc.MimeTypeVP8
	return spec == "test" && (other || c.simulcast || c.bitrate > 0 && len(device.Codecs()) > 0)
}

func (c *session) openAudio(ctx context.Context, spec string) (source.Source, error) {
	if !device.Names(spec) {
		return source.OpenAudio(spec, c.audioOptions(ctx))
	}
	return c.devices.OpenAudio(spec, device.AudioOptions{Rate: c.audioRate, Warn: c.tellDevice, Logger: c.logger})
}

// tellDevice passes on what a device has to say; its names are not to be trusted.
func (c *session) tellDevice(sentence string) { c.report.Warnf("%s", sanitize.Text(sentence)) }

// mirror makes a mirror for each section in which something comes and may go
// back.
func (c *session) mirror(offer *peer.Description) {
	for _, s := range offer.Sections {
		if s.Kind != 0 && !s.Rejected && s.Sends() && s.Receives() {
			c.mirrors = append(c.mirrors, localtrack.NewForwarder(s.Kind, localtrack.ForwarderOptions{Logger: c.logger}))
		}
	}
}

// mirrorLate sends back what was added in mid-call, which the other side has to
// agree to.
func (c *session) mirrorLate(kind webrtc.RTPCodecType) *localtrack.Forwarder {
	m := localtrack.NewForwarder(kind, localtrack.ForwarderOptions{Logger: c.logger})
	c.call.AddTrack(m, func(err error) {
		if err != nil && c.ctx.Err() == nil {
			c.logger.Debug("what was added is not sent back", "error", err)
		}
	})
	return m
}

func (c *session) tracks() []webrtc.TrackLocal {
	var tracks []webrtc.TrackLocal
	for _, s := range c.sources {
		tracks = append(tracks, s)
	}
	for _, m := range c.mirrors {
		tracks = append(tracks, m)
	}
	return tracks
}

func (c *session) closeMedia() {
	c.cancel()
	c.closeEmulator()
	for _, s := range c.sources {
		_ = s.Close() // files that were read
	}
	c.mu.Lock()
	left := c.playing
	c.playing = nil
	c.mu.Unlock()
	for _, end := range left {
		end()
	}
}

// receive reads a track of the other side until it ends.
func (c *session) receive(e peer.TrackReceived) {
	kind := e.Track.Kind()
	c.expect.Observe("track."+kind.String(), event.TextOf("true"))
	c.tellTrack(kind, e.Track.Codec().MimeType, "in")
	mirror, _ := e.Local.(*localtrack.Forwarder)
	if mirror == nil && c.echo {
		mirror = c.mirrorLate(e.Track.Kind())
	}
	var r *receiver.Receiver
	sinks := []media.FrameSink{
		&firstFrame{tell: func(f media.Frame) { c.tellFrame(kind.String(), f) }},
		c.watchGaps(func() uint64 { return r.Lost() }),
	}
	var recorded *recordSink // nil for none
	pictures, first := c.layers.sinks(e, func() { r.RequestKeyFrame() }, func(request func()) (all []media.FrameSink) {
		if recorded = c.recordTrack(e, request); recorded != nil {
			all = append(all, recorded)
			c.recorded[e.Mid] = recorded
		}
		if sink := c.judgeTrack(e, request); sink != nil {
			all = append(all, sink)
		}
		if sink := c.watchTrack(e, request); sink != nil {
			all = append(all, sink)
		}
		return all
	})
	if !first {
		mirror = nil // what goes back is one stream
	}
	sinks = append(sinks, pictures...)
	wait := time.Duration(0)
	voice, hush := c.playTrack(kind)
	if voice != nil {
		sinks, wait = append(sinks, voice), playWait
	}
	received := receivedTrack{}
	if kind == webrtc.RTPCodecTypeAudio {
		received.tone = &toneSink{enabled: &c.metering}
		sinks = append(sinks, received.tone)
	}
	if kind == webrtc.RTPCodecTypeVideo && c.analysis.frameIDs {
		received.frameIDs = &quality.FrameIDReader{}
		sinks = append(sinks, received.frameIDs)
	}
	var forward receiver.PacketSink
	if mirror != nil {
		forward = mirror
	}
	r = receiver.New(e.Track, receiver.Options{
		OrientationExtensionID: func() uint8 { return orientationExtensionID(e.Receiver) },
		RTCP:                   reportsOf(e), Sinks: sinks, Forward: forward, Wait: wait, RTT: c.call.RTT, Logger: c.logger,
		RequestKeyFrame: func() {
			// An error here is one of a connection that is going down.
			_ = e.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(e.Track.SSRC())}})
		},
	})
	c.mu.Lock()
	received.receiver = r
	c.receivers = append(c.receivers, received)
	c.mu.Unlock()
	c.work.Go(func() {
		defer hush()
		if err := r.Run(c.ctx); err != nil {
			c.fail(err)
		}
		if recorded != nil && e.RID == "" {
			recorded.Close()
		}
		if mirror != nil && c.ctx.Err() == nil {
			c.call.RemoveTrack(mirror, nil) // the other side has ended what it sends back
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

// firstFrame tells of the first frame of a track.
type firstFrame struct {
	once sync.Once
	tell func(media.Frame)
}

// WriteFrame implements media.FrameSink.
func (f *firstFrame) WriteFrame(frame media.Frame) error {
	f.once.Do(func() { f.tell(frame) })
	return nil
}

func (c *session) tellFrame(kind string, f media.Frame) {
	ms := f.Arrival.Sub(c.offered).Milliseconds()
	fields := event.Fields("kind", kind, "first", true)
	say := fmt.Sprintf("first %s after %d ms", kind, ms)
	if f.Width > 0 {
		fields = append(fields, event.Field{Key: "size", Value: size(f.Width, f.Height)})
		say = fmt.Sprintf("first picture, %s, after %d ms", size(f.Width, f.Height), ms)
	}
	c.emit(event.Event{Name: "frame", Peer: c.name, Fields: append(fields, event.Field{Key: "ms", Value: ms}), Message: say, Detail: true})
}

// receivedTrack is a track that is received, with what measures it.
type receivedTrack struct {
	receiver *receiver.Receiver
	tone     *toneSink              // nil for video
	frameIDs *quality.FrameIDReader // nil if frame IDs are not read
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
	return c.analysis.tone || slices.ContainsFunc(c.checks, func(k event.Check) bool { return k.Key == "audio.tone" })
}

// receivedStats are the statistics of a received track.
type receivedStats struct {
	receiver.Stats
	tone     quality.ToneStats
	frameIDs quality.FrameIDStats
}

func (t receivedTrack) stats() receivedStats {
	s := receivedStats{Stats: t.receiver.Stats()}
	if t.tone != nil {
		s.tone = t.tone.stats()
	}
	if t.frameIDs != nil {
		s.frameIDs = t.frameIDs.Stats()
	}
	return s
}

// received is what has been received, audio before video.
func (c *session) received() []receivedStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []receivedStats
	for _, kind := range []string{"audio", "video"} {
		for _, t := range c.receivers {
			if s := t.stats(); s.Kind == kind {
				all = append(all, s)
			}
		}
	}
	return all
}

// measure lets the expectations see what the receivers have measured.
func (c *session) measure() {
	c.measureQuality(false)
	c.notifyMeasurement()
	for _, s := range c.received() {
		if s.Packets == 0 {
			continue
		}
		saw := func(key string, v event.Value) { c.expect.Observe(s.Kind+"."+key, v) }
		saw("packets", event.NumberOf(s.Packets))
		saw("lost", event.NumberOf(s.Lost))
		saw("frames", event.NumberOf(s.Frames))
		saw("bitrate", event.NumberOf(math.Round(s.Bitrate)))
		saw("codec", event.TextOf(s.Codec))
		if s.Width > 0 {
			saw("size", event.TextOf(size(s.Width, s.Height)))
			saw("fps", event.NumberOf(math.Round(s.FrameRate*10)/10))
		}
		if s.tone.Tone > 0 {
			c.lastTone.Store(s.tone.Tone)
			saw("tone", event.NumberOf(math.Round(s.tone.Tone*10)/10))
		}
	}
}

// codecName is the name of a codec as people say it, whatever case the other
// side wrote it in.
func codecName(mime string) string {
	_, name, _ := strings.Cut(mime, "/")
	if strings.EqualFold(name, "opus") {
		return "opus"
	}
	return strings.ToUpper(name)
}
