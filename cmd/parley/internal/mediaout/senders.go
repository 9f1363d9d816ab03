// Package mediaout sends the audio and video of a call.
package mediaout

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/config"
	"parley/media"
	"parley/media/device"
	"parley/media/localtrack"
	"parley/media/source"
	"parley/media/testsignal"
	"parley/peer"
	"parley/peer/track"
)

// What a call asks of its tracks is what media offers.
var (
	_ track.KeyFrameRequester = source.KeyFrameRequester(nil)
	_ track.KeyFrameRequester = (*localtrack.Forwarder)(nil)
	_ track.CodecReporter     = source.Source(nil)
)

// Options are the options of senders.
type Options struct {
	config.MediaOut
	Stdin   io.Reader         // that a source of - reads
	Devices *device.Shared    // those that several calls use at once
	Epoch   *testsignal.Epoch // of test sources
	Fail    func(error)       // ends the call with an error of a source
	Warn    func(text string) // reports a warning of a device, whose names are not to be trusted
	Logger  *slog.Logger
}

// Senders are the tracks that a call sends, with their sources. The commands of --input change
// them.
type Senders struct {
	Options
	ctx  context.Context // of the call
	call *peer.Call      // nil before it is placed

	sources    []source.Source // from the start of the call
	forwarders []*localtrack.Forwarder

	work    sync.WaitGroup           // what change, run and play start
	changes map[string]chan struct{} // locks of change, by kind; hold a token while locked
	pausing map[string]chan struct{} // locks of pause, by kind

	mu      sync.Mutex // guards the following
	closed  bool
	sent    map[string]webrtc.TrackLocal // by kind; nil until it is asked for
	playing map[webrtc.TrackLocal]func() // sources, with what stops them
	paused  map[webrtc.TrackLocal]pauseReasons
	added   map[*localtrack.Forwarder]<-chan struct{} // in mid-call, closed when the peer has answered
}

// New returns senders without tracks. They play until ctx is done.
func New(ctx context.Context, o Options) *Senders {
	s := &Senders{Options: o, ctx: ctx, changes: map[string]chan struct{}{}, pausing: map[string]chan struct{}{}}
	for _, kind := range media.Kinds() {
		s.changes[kind], s.pausing[kind] = make(chan struct{}, 1), make(chan struct{}, 1)
	}
	return s
}

// Place says which call the tracks are sent in.
func (s *Senders) Place(call *peer.Call) { s.call = call }

// AddForwarders adds a forwarder for each section of an offer in which media come and may go back.
func (s *Senders) AddForwarders(offer *peer.Description) {
	for _, section := range offer.Sections {
		if section.Kind != 0 && !section.Rejected && section.Sends() && section.Receives() {
			s.forwarders = append(s.forwarders, localtrack.NewForwarder(section.Kind, localtrack.ForwarderOptions{Logger: s.Logger}))
		}
	}
}

// AddForwarder sends back a track that was added in mid-call, which the peer has to accept.
func (s *Senders) AddForwarder(kind webrtc.RTPCodecType) *localtrack.Forwarder {
	f := localtrack.NewForwarder(kind, localtrack.ForwarderOptions{Logger: s.Logger})
	added := make(chan struct{})
	s.mu.Lock()
	if s.added == nil {
		s.added = map[*localtrack.Forwarder]<-chan struct{}{}
	}
	s.added[f] = added
	s.mu.Unlock()
	s.run(func() {
		defer close(added)
		if err := s.call.AddTrack(s.ctx, f); err != nil && s.ctx.Err() == nil {
			s.Logger.Debug("an added track is not sent back", "error", err)
		}
	})
	return f
}

// EndForwarder ends a track that is sent back, because the peer has ended it.
func (s *Senders) EndForwarder(f *localtrack.Forwarder) {
	s.mu.Lock()
	added := s.added[f] // nil for one from the start of the call
	delete(s.added, f)
	s.mu.Unlock()
	s.run(func() {
		if added != nil {
			<-added
		}
		if err := s.call.RemoveTrack(s.ctx, f); err != nil && s.ctx.Err() == nil {
			s.Logger.Debug("a track that was sent back is not removed", "error", err)
		}
	})
}

// Tracks returns the tracks that are sent from the start of the call.
func (s *Senders) Tracks() []webrtc.TrackLocal {
	var tracks []webrtc.TrackLocal
	for _, source := range s.sources {
		tracks = append(tracks, source)
	}
	for _, f := range s.forwarders {
		tracks = append(tracks, f)
	}
	return tracks
}

// Codecs returns the codecs that are sent, by MIME type.
func (s *Senders) Codecs() (all []string) {
	for _, source := range s.sources {
		all = append(all, source.Codec())
		if several, ok := source.(interface{ Codecs() []string }); ok {
			all = append(all, several.Codecs()...)
		}
	}
	return all
}

// Start plays the sources, once the call is connected.
func (s *Senders) Start() {
	for _, source := range s.sources {
		s.play(source)
	}
}

// Finish waits until nothing is played or changed any more, once ctx has ended.
func (s *Senders) Finish() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.work.Wait()
}

// Close closes the sources, once ctx has ended.
func (s *Senders) Close() {
	s.Finish()
	for _, source := range s.sources {
		_ = source.Close() // files that were read
	}
	s.mu.Lock()
	left := s.playing
	s.playing = nil
	s.mu.Unlock()
	for _, stop := range left {
		stop()
	}
}

// run runs f on a goroutine that finish waits for. It reports false once finish was called.
func (s *Senders) run(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.work.Go(f)
	}
	return !s.closed
}

// track returns the track that is sent of a kind, nil for none.
func (s *Senders) track(kind string) webrtc.TrackLocal {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sent == nil {
		s.sent = map[string]webrtc.TrackLocal{}
		for _, t := range s.Tracks() {
			s.sent[t.Kind().String()] = t
		}
	}
	return s.sent[kind]
}

// All returns the tracks that are sent of a kind, or of all if it is "".
func (s *Senders) All(kind string) (tracks []webrtc.TrackLocal) {
	for _, k := range media.Kinds() {
		if t := s.track(k); t != nil && (kind == "" || kind == k) {
			tracks = append(tracks, t)
		}
	}
	return tracks
}

func (s *Senders) setTrack(kind string, t webrtc.TrackLocal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent[kind] = t
}

// change runs f while nothing else changes what is sent of a kind, or of all kinds if it is "". The
// context of f ends with ctx and with the call. The error is peer.ErrOver if the call is over.
func (s *Senders) change(ctx context.Context, kind string, f func(context.Context) error) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return peer.ErrOver
	}
	s.work.Add(1)
	s.mu.Unlock()
	defer s.work.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	kinds := media.Kinds()
	if kind != "" {
		kinds = []string{kind}
	}
	for _, kind := range kinds {
		select {
		case s.changes[kind] <- struct{}{}:
			defer func() { <-s.changes[kind] }()
		case <-ctx.Done():
		}
	}
	err := context.Cause(ctx)
	if err == nil {
		err = f(ctx)
	}
	if err != nil && s.ctx.Err() != nil {
		return peer.ErrOver
	}
	return err
}

// Add sends one more track, and returns when the peer has answered.
func (s *Senders) Add(ctx context.Context, kind, spec string) error {
	return s.change(ctx, kind, func(ctx context.Context) error {
		if s.track(kind) != nil {
			return fmt.Errorf("%s is sent already; remove it, or take the command source to exchange it", kind)
		}
		return s.startTrack(ctx, kind, spec, s.call.AddTrack)
	})
}

// Replace sends another source in place of the present one, and returns when the peer has answered
// if it had to be asked.
func (s *Senders) Replace(ctx context.Context, kind, spec string) error {
	return s.change(ctx, kind, func(ctx context.Context) error {
		old := s.track(kind)
		if old == nil {
			return fmt.Errorf("no %s is sent; the command add begins it", kind)
		}
		err := s.startTrack(ctx, kind, spec, func(ctx context.Context, t webrtc.TrackLocal) error {
			return s.call.ReplaceTrack(ctx, old, t)
		})
		if err == nil {
			s.stop(old)
		}
		return err
	})
}

// startTrack opens a source, sends it by send, and plays it.
func (s *Senders) startTrack(ctx context.Context, kind, spec string, send func(context.Context, webrtc.TrackLocal) error) error {
	source, err := s.openSource(ctx, kind, spec)
	if err != nil {
		return err
	}
	if err := send(ctx, source); err != nil {
		_ = source.Close() // the other error says more
		return err
	}
	s.setTrack(kind, source)
	s.play(source)
	return nil
}

// Remove sends nothing of a kind any more.
func (s *Senders) Remove(ctx context.Context, kind string) error {
	return s.change(ctx, kind, func(ctx context.Context) error {
		t := s.track(kind)
		if t == nil {
			return fmt.Errorf("no %s is sent", kind)
		}
		err := s.call.RemoveTrack(ctx, t)
		if err == nil {
			s.setTrack(kind, nil)
			s.stop(t)
		}
		return err
	})
}

// Mute mutes what is sent of a kind, or of all if it is "", or unmutes it.
func (s *Senders) Mute(ctx context.Context, kind string, muted bool) error {
	return s.change(ctx, kind, func(ctx context.Context) error {
		tracks := s.All(kind)
		if len(tracks) == 0 {
			return fmt.Errorf("no %s is sent", cmp.Or(kind, "audio or video"))
		}
		for _, t := range tracks {
			if err := s.call.Mute(ctx, t, muted); err != nil {
				return err
			}
		}
		return nil
	})
}

// Hold puts the call on hold, or resumes it.
func (s *Senders) Hold(ctx context.Context, held bool) error {
	return s.change(ctx, "", func(ctx context.Context) error { return s.call.Hold(ctx, held) })
}

// AnnounceMute announces to the peer that what is sent of a kind, or of all if it is "", is muted
// or unmuted, as far as the peer takes another offer.
func (s *Senders) AnnounceMute(kind string, muted bool) {
	for _, t := range s.All(kind) {
		s.pause(t, func(r *pauseReasons) { r.muted = muted })
	}
}

// pauseReasons are why a track has nothing to send for now.
type pauseReasons struct{ deviceGone, muted bool }

// pause announces that a track has nothing to send for now, or that it goes on, after a change of
// the reasons.
func (s *Senders) pause(t webrtc.TrackLocal, change func(*pauseReasons)) {
	s.mu.Lock()
	if s.paused == nil {
		s.paused = map[webrtc.TrackLocal]pauseReasons{}
	}
	reasons := s.paused[t]
	change(&reasons)
	s.paused[t] = reasons
	s.mu.Unlock()
	s.run(func() {
		lock := s.pausing[t.Kind().String()]
		lock <- struct{}{} // the reasons may have changed again meanwhile
		defer func() { <-lock }()
		s.mu.Lock()
		reasons := s.paused[t]
		s.mu.Unlock()
		if err := s.call.PauseTrack(s.ctx, t, reasons.deviceGone || reasons.muted); err != nil && s.ctx.Err() == nil {
			s.Logger.Debug("the pause of a track is not announced", "kind", t.Kind(), "error", err)
		}
	})
}

// play runs a source until the call is over or stop is called for it.
func (s *Senders) play(src source.Source) {
	ctx, cancel := context.WithCancel(s.ctx)
	done := make(chan struct{})
	if d, ok := src.(interface{ OnPresence(func(gone bool)) }); ok {
		d.OnPresence(func(gone bool) { s.pause(src, func(r *pauseReasons) { r.deviceGone = gone }) })
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		cancel()
		_ = src.Close() // a file that was read
		return
	}
	if s.playing == nil {
		s.playing = map[webrtc.TrackLocal]func(){}
	}
	s.playing[src] = func() {
		cancel()
		<-done
		_ = src.Close() // a file that was read
	}
	s.work.Go(func() {
		defer close(done)
		defer cancel()
		if err := src.Run(ctx); err != nil {
			s.Fail(err)
		}
	})
}

// stop ends a source that is sent no longer; a forwarder is just not used any more.
func (s *Senders) stop(t webrtc.TrackLocal) {
	s.mu.Lock()
	stop := s.playing[t]
	delete(s.playing, t)
	delete(s.paused, t)
	s.mu.Unlock()
	if stop != nil {
		s.run(stop) // a device may take its time
	}
}

// openSource opens what --video or --audio, or a command, names.
func (s *Senders) openSource(ctx context.Context, kind, spec string) (source.Source, error) {
	if kind == "video" {
		return s.openVideo(ctx, spec)
	}
	return s.openAudio(ctx, spec)
}

// OpenSources opens what --video and --audio name. Where both name the same stream it is opened
// once, and its tracks share one schedule.
func (s *Senders) OpenSources(ctx context.Context) error {
	if s.Video == s.Audio && s.Video != "" && s.Video != "test" && !device.Names(s.Video) {
		video, audio, err := source.Open(s.Video, s.videoOptions(ctx), s.audioOptions(ctx))
		if err == nil {
			s.sources = append(s.sources, video, audio)
		}
		return err
	}
	if s.Video != "" {
		video, err := s.openVideo(ctx, s.Video)
		if err != nil {
			return err
		}
		s.sources = append(s.sources, video)
	}
	if s.Audio != "" {
		audio, err := s.openAudio(ctx, s.Audio)
		if err != nil {
			return err
		}
		s.sources = append(s.sources, audio)
	}
	return nil
}

func (s *Senders) videoOptions(ctx context.Context) source.VideoOptions {
	return source.VideoOptions{
		Width: s.Width, Height: s.Height, FrameRate: s.FrameRate, Bitrate: s.Bitrate, Loop: s.Loop, Logger: s.Logger,
		NewEncoder: device.NewEncoder(s.Encoding), Stdin: s.Stdin, Opening: ctx, Epoch: s.Epoch,
	}
}

func (s *Senders) audioOptions(ctx context.Context) source.AudioOptions {
	return source.AudioOptions{Loop: s.Loop, Stdin: s.Stdin, Opening: ctx, Epoch: s.Epoch, Logger: s.Logger}
}

func (s *Senders) openVideo(ctx context.Context, spec string) (source.Source, error) {
	if !device.Names(spec) && !s.encodesTest(spec) {
		return source.OpenVideo(spec, s.videoOptions(ctx))
	}
	return s.Devices.OpenVideo(spec, device.VideoOptions{
		Codec: s.Encoding, Width: s.Width, Height: s.Height, FrameRate: s.FrameRate, Bitrate: s.Bitrate, Simulcast: s.Simulcast,
		Warn: s.Warn, Logger: s.Logger,
	})
}

// encodesTest reports whether the test pattern needs an encoder of this build: by itself it is VP8,
// each frame a key frame, in one size.
func (s *Senders) encodesTest(spec string) bool {
	other := s.Encoding != "" && s.Encoding != webrtc.MimeTypeVP8
	return spec == "test" && (other || s.Simulcast || s.Bitrate > 0 && len(device.Codecs()) > 0)
}

func (s *Senders) openAudio(ctx context.Context, spec string) (source.Source, error) {
	if !device.Names(spec) {
		return source.OpenAudio(spec, s.audioOptions(ctx))
	}
	return s.Devices.OpenAudio(spec, device.AudioOptions{Rate: s.AudioRate, Warn: s.Warn, Logger: s.Logger})
}
