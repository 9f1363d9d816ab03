//go:build linux && cgo

package device

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"parley/media"
	"parley/media/device/audiodevice"
	"parley/media/device/hotplug"
	"parley/media/device/libcodec"
	"parley/media/localtrack"
	"parley/media/source"

	"github.com/pion/webrtc/v4"
)

// opusRates are the sample rates of an Opus encoder in Hz (RFC 6716 section 2).
var opusRates = [...]int{8000, 12000, 16000, 24000, 48000}

const packetTime = 20 * time.Millisecond

// sharedMicrophone is a microphone that is captured and encoded once for all calls that use it.
type sharedMicrophone struct {
	track   *localtrack.Track
	device  audiodevice.Device
	options AudioOptions
	rate    int
	worker  sharedWorker

	presence hotplug.Presence
	loss     lossEstimate

	mu   sync.Mutex         // guards open
	open audiodevice.Stream // until the worker takes it
}

// microphoneSource is the source of one call for a shared microphone.
type microphoneSource struct {
	*localtrack.Track
	microphone *sharedMicrophone
	release    func() // called by Close
	used       atomic.Bool
}

// sharedAudio is an open microphone with the number of its users.
type sharedAudio struct {
	microphone *sharedMicrophone
	users      int
}

func (s *Shared) openAudio(spec string, o AudioOptions) (source.Source, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.audios[spec]
	if a == nil {
		_, id, _ := strings.Cut(spec, ":")
		rate := opusRate(o.Rate)
		if o.Rate != 0 && rate != o.Rate {
			o.Warn(fmt.Sprintf("microphone sends %d samples a second, the nearest that Opus can do to %d", rate, o.Rate))
		}
		shared, err := startMicrophone(spec, &audiodevice.Microphone{ID: id, Rate: rate, Channels: o.Channels}, rate, o)
		if err != nil {
			return nil, err
		}
		a = &sharedAudio{microphone: shared}
		if s.audios == nil {
			s.audios = make(map[string]*sharedAudio)
		}
		s.audios[spec] = a
	}
	a.users++
	source := a.microphone.source()
	source.release = sync.OnceFunc(func() { s.closeAudio(spec, a) })
	return source, nil
}

func (s *Shared) closeAudio(spec string, a *sharedAudio) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.users--; a.users == 0 {
		delete(s.audios, spec)
		a.microphone.close()
	}
}

// opusRate returns the nearest of opusRates.
func opusRate(rate int) int {
	best := opusRates[len(opusRates)-1]
	if rate == 0 {
		return best
	}
	for _, r := range opusRates {
		if max(r-rate, rate-r) < max(best-rate, rate-best) {
			best = r
		}
	}
	return best
}

// startMicrophone opens a microphone.
func startMicrophone(spec string, device audiodevice.Device, rate int, o AudioOptions) (*sharedMicrophone, error) {
	open, err := device.Open()
	if err != nil {
		return nil, &media.FileError{Path: spec, Err: err}
	}
	o.Logger.Info("device opened", "device", "microphone "+device.String(), "rate", rate, "channels", o.Channels)
	m := &sharedMicrophone{track: localtrack.New(localtrack.Capability(webrtc.MimeTypeOpus), o.StreamID, o.Logger), device: device, options: o, rate: rate, open: open}
	m.worker.start = m.startTask
	return m, nil
}

// source returns the source of one more call.
func (m *sharedMicrophone) source() *microphoneSource {
	return &microphoneSource{Track: m.track, microphone: m, release: m.close}
}

func (m *sharedMicrophone) name() string { return "microphone " + m.device.String() }

// take returns the open device, or opens it.
func (m *sharedMicrophone) take() (s audiodevice.Stream, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s, m.open = m.open, nil; s == nil {
		s, err = m.device.Open()
	}
	return s, err
}

// startTask is the start of the worker.
func (m *sharedMicrophone) startTask() (func(context.Context) error, error) {
	p, err := newPacketizer(m.rate, m.options.Channels, m.options.Bitrate, m.track.WriteFrame)
	if err != nil {
		return nil, &media.FileError{Path: m.name(), Err: err}
	}
	p.loss = m.loss.expected
	open, err := m.take()
	if err != nil {
		p.close()
		return nil, &media.FileError{Path: m.name(), Err: err}
	}
	return func(ctx context.Context) error {
		defer p.close()
		return m.send(ctx, open, p)
	}, nil
}

// send encodes and sends audio until ctx ends, and reopens the device when it is lost.
func (m *sharedMicrophone) send(ctx context.Context, open audiodevice.Stream, p *packetizer) error {
	m.presence.Set(false)
	for {
		err := m.sendUntilLost(ctx, open, p)
		open.Close()
		if ctx.Err() != nil {
			return nil
		}
		if !isDeviceLost(err) {
			return &media.FileError{Path: m.name(), Err: err}
		}
		m.options.Warn(fmt.Sprintf("%s is gone: %v; sending nothing until it is back", m.name(), err))
		m.presence.Set(true)
		if open = m.reopen(ctx); open == nil {
			return nil
		}
		m.presence.Set(false)
		m.options.Warn(m.name() + " is back")
	}
}

// Run implements source.Source.
func (a *microphoneSource) Run(ctx context.Context) error {
	if a.used.Swap(true) {
		return &media.FileError{Path: a.microphone.name(), Err: errors.New("it has been closed, or runs already")}
	}
	return a.microphone.worker.run(ctx)
}

// SetLoss sets the share of packets that this call has lost lately, 0 to 1. It determines the
// forward error correction. It does not block.
func (a *microphoneSource) SetLoss(share float64) { a.microphone.loss.report(share, time.Now()) }

// OnPresence sets a function that is called when the microphone is lost and when it is back, and at
// once if it is lost. f must not block. A nil f and Close end that.
func (a *microphoneSource) OnPresence(f func(gone bool)) { a.microphone.presence.Watch(a, f) }

// Close implements source.Source.
func (a *microphoneSource) Close() error {
	a.used.Store(true)
	a.OnPresence(nil)
	a.release()
	return nil
}

func isDeviceLost(err error) bool {
	var lost *hotplug.LostError
	return errors.As(err, &lost)
}

// sendUntilLost sends until ctx ends, which is no error, or the device is lost.
func (m *sharedMicrophone) sendUntilLost(ctx context.Context, s audiodevice.Stream, p *packetizer) error {
	// Chunks from before are old.
	for len(s.Chunks()) > 0 {
		<-s.Chunks()
	}
	p.resume(time.Now())
	silence := time.NewTimer(hotplug.StallTimeout)
	defer silence.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case c := <-s.Chunks():
			silence.Reset(hotplug.StallTimeout)
			if err := p.add(c); err != nil {
				return err
			}
		case <-s.Stopped():
			return &hotplug.LostError{Err: errors.New("the audio system stopped it")}
		case <-silence.C:
			return &hotplug.LostError{Err: fmt.Errorf("no audio for %v", hotplug.StallTimeout)}
		}
	}
}

// reopen opens the device when it is back. It returns nil when ctx ends.
func (m *sharedMicrophone) reopen(ctx context.Context) (s audiodevice.Stream) {
	hotplug.Reopen(ctx, func() (err error) {
		if s, err = m.device.Open(); err != nil {
			m.options.Logger.Debug("device is not back", "device", m.device.String(), "error", err)
		}
		return err
	})
	return s
}

// close closes a device that was not taken.
func (m *sharedMicrophone) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open != nil {
		m.open.Close()
		m.open = nil
	}
}

// packetizer encodes samples to Opus packets. Time is counted in samples, which is the clock of the
// audio device. An audio device that is not read in time drops samples without an error. So a lag
// behind the clock of the machine that lasts becomes a gap in the timestamps, without which audio
// would stay behind video by that.
type packetizer struct {
	encoder  *libcodec.OpusEncoder
	write    func(packet []byte, at time.Duration)
	rate     int
	channels int
	loss     func() int // expected packet loss in percent; nil for the default
	pcm      []int16    // not encoded yet
	start    time.Time
	position int64 // of the first sample of pcm, in samples since start

	minLag       time.Duration // smallest lag behind the clock of the machine in this window
	lagWindowEnd time.Time
}

const (
	lagWindow = time.Second            // in which samples that are late arrive
	maxLag    = 100 * time.Millisecond // above the drift of clocks within minutes
)

func newPacketizer(rate, channels, bitrate int, write func([]byte, time.Duration)) (*packetizer, error) {
	p := &packetizer{write: write, rate: rate, channels: channels}
	var err error
	if p.encoder, err = libcodec.NewOpusEncoder(rate, channels, bitrate, minExpectedLoss); err != nil {
		return nil, fmt.Errorf("make an encoder for Opus: %w", err)
	}
	return p, nil
}

// resume starts, or continues after a time without samples.
func (p *packetizer) resume(now time.Time) {
	if p.start.IsZero() {
		p.start = now
	}
	p.skipTo(int64(now.Sub(p.start).Seconds() * float64(p.rate)))
	p.startLagWindow(now)
}

// skipTo moves to a position, rounded up to whole packets, and drops samples that are not encoded
// yet.
func (p *packetizer) skipTo(position int64) {
	p.pcm = p.pcm[:0]
	perPacket := int64(p.samplesPerPacket())
	if position > p.position {
		p.position += (position - p.position + perPacket - 1) / perPacket * perPacket
	}
}

func (p *packetizer) samplesPerPacket() int { return p.rate * int(packetTime/time.Millisecond) / 1000 }

// add sends the packets that a chunk completes.
func (p *packetizer) add(c audiodevice.Chunk) error {
	if c.Missed > 0 {
		p.skipTo(p.position + int64(len(p.pcm)/p.channels+c.Missed))
	}
	p.pcm = append(p.pcm, c.PCM...)
	p.catchUp(c.At)
	if p.loss != nil {
		if err := p.encoder.SetPacketLoss(p.loss()); err != nil {
			return err
		}
	}
	size := p.samplesPerPacket() * p.channels
	sent := 0
	for ; len(p.pcm)-sent >= size; sent += size {
		packet, err := p.encoder.Encode(p.pcm[sent : sent+size])
		if err != nil {
			return fmt.Errorf("encode audio: %w", err)
		}
		// A packet of up to 2 bytes is DTX and need not be sent (RFC 7587 section 3.1.3).
		if len(packet) > 2 {
			p.write(packet, p.at())
		}
		p.position += int64(p.samplesPerPacket())
	}
	p.pcm = append(p.pcm[:0], p.pcm[sent:]...)
	return nil
}

// catchUp makes a gap where samples were lost.
func (p *packetizer) catchUp(now time.Time) {
	has := time.Duration(float64(p.position+int64(len(p.pcm)/p.channels)) / float64(p.rate) * float64(time.Second))
	p.minLag = min(p.minLag, now.Sub(p.start)-has)
	if now.Before(p.lagWindowEnd) {
		return
	}
	if p.minLag > maxLag {
		kept := p.pcm
		p.skipTo(p.position + int64(p.minLag.Seconds()*float64(p.rate)))
		p.pcm = kept // they are from after the gap
	}
	p.startLagWindow(now)
}

func (p *packetizer) startLagWindow(now time.Time) {
	p.minLag, p.lagWindowEnd = math.MaxInt64, now.Add(lagWindow)
}

// at returns the time of the next packet. It counts in packets, since nanoseconds per sample would
// overflow after two days.
func (p *packetizer) at() time.Duration {
	return time.Duration(p.position/int64(p.samplesPerPacket())) * packetTime
}

func (p *packetizer) close() { p.encoder.Close() }

// Bounds of the expected packet loss in percent, which determines how often the encoder adds
// forward error correction. Below minExpectedLoss it hardly does.
const (
	minExpectedLoss = 10
	maxExpectedLoss = 30
	// lossDecay is the time without losses after which the expected loss is 0.
	lossDecay = 20 * time.Second
)

// lossEstimate is the highest packet loss of the calls that share a microphone.
type lossEstimate struct {
	mu    sync.Mutex // guards what follows
	now   int        // percent
	until time.Time  // when it may decrease, zero before the first report
}

// report adds the share of packets that one call has lost in the last seconds, 0 to 1. The highest
// share counts, since the encoder is shared.
func (l *lossEstimate) report(share float64, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	percent := 0
	if share > 0 && !math.IsNaN(share) {
		percent = min(max(int(math.Ceil(100*share)), minExpectedLoss), maxExpectedLoss)
	}
	if l.until.IsZero() {
		l.now, l.until = minExpectedLoss, at.Add(lossDecay)
	}
	if percent >= l.now && percent > 0 || at.After(l.until) {
		l.now, l.until = percent, at.Add(lossDecay)
	}
}

// expected returns the expected loss in percent. The result is minExpectedLoss before the first
// report.
func (l *lossEstimate) expected() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.until.IsZero() {
		return minExpectedLoss
	}
	return l.now
}

// openPlayback opens the audio device of a speaker.
func openPlayback(s *Speaker) (playback, error) {
	return audiodevice.OpenPlayback(s.options.ID, audiodevice.PlaybackOptions{Fill: s.fill, Warn: s.options.Warn, Logger: s.options.Logger})
}
