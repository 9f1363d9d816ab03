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
	"parley/media/localtrack"
	"parley/media/source"

	"github.com/pion/webrtc/v4"
)

// opusRates are what an Opus encoder takes (RFC 6716 section 2).
var opusRates = [...]int{8000, 12000, 16000, 24000, 48000}

const packetTime = 20 * time.Millisecond

// sharedMicrophone is a microphone, which is heard and encoded once for all calls that send it.
type sharedMicrophone struct {
	live    *localtrack.Track
	device  audioDevice
	options AudioOptions
	rate    int
	worker  sharedWorker

	presence presence
	loss     lossEstimate

	mu   sync.Mutex  // guards open
	open audioStream // started, and nobody has taken it yet
}

// microphoneSource is what one call has of a microphone.
type microphoneSource struct {
	*localtrack.Track
	hub     *sharedMicrophone
	release func() // given by who shares the device; at the end, once
	used    atomic.Bool
}

// sharedAudio is a microphone that is open for as many as users says.
type sharedAudio struct {
	hub   *sharedMicrophone
	users int
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
		hub, err := startMicrophone(spec, &microphone{id: id, rate: rate, channels: o.Channels}, rate, o)
		if err != nil {
			return nil, err
		}
		a = &sharedAudio{hub: hub}
		if s.audios == nil {
			s.audios = make(map[string]*sharedAudio)
		}
		s.audios[spec] = a
	}
	a.users++
	source := a.hub.source()
	source.release = sync.OnceFunc(func() { s.closeAudio(spec, a) })
	return source, nil
}

func (s *Shared) closeAudio(spec string, a *sharedAudio) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.users--; a.users == 0 {
		delete(s.audios, spec)
		a.hub.close()
	}
}

// opusRate is the nearest rate that Opus knows.
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

// startMicrophone opens the device.
func startMicrophone(spec string, device audioDevice, rate int, o AudioOptions) (*sharedMicrophone, error) {
	open, err := device.open()
	if err != nil {
		return nil, &media.FileError{Path: spec, Err: err}
	}
	o.Logger.Info("device opened", "device", "microphone "+device.String(), "rate", rate, "channels", o.Channels)
	h := &sharedMicrophone{live: localtrack.New(localtrack.Capability(webrtc.MimeTypeOpus), o.StreamID, o.Logger), device: device, options: o, rate: rate, open: open}
	h.worker.begin = h.begin
	return h, nil
}

// source is the hub for one more call.
func (h *sharedMicrophone) source() *microphoneSource {
	return &microphoneSource{Track: h.live, hub: h, release: h.close}
}

func (h *sharedMicrophone) name() string { return "microphone " + h.device.String() }

// take is the open device: the one that is waiting, or one that is opened now.
func (h *sharedMicrophone) take() (s audioStream, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s, h.open = h.open, nil; s == nil {
		s, err = h.device.open()
	}
	return s, err
}

// begin starts the shared worker.
func (h *sharedMicrophone) begin() (func(context.Context) error, error) {
	p, err := newPacketizer(h.rate, h.options.Channels, h.options.Bitrate, h.live.WriteFrame)
	if err != nil {
		return nil, &media.FileError{Path: h.name(), Err: err}
	}
	p.loss = h.loss.expected
	open, err := h.take()
	if err != nil {
		p.close()
		return nil, &media.FileError{Path: h.name(), Err: err}
	}
	return func(ctx context.Context) error {
		defer p.close()
		return h.work(ctx, open, p)
	}, nil
}

// work sends what the microphone hears until ctx ends.
func (h *sharedMicrophone) work(ctx context.Context, open audioStream, p *packetizer) error {
	h.presence.set(false)
	for {
		err := h.listen(ctx, open, p)
		open.close()
		if ctx.Err() != nil {
			return nil
		}
		if !isDeviceLost(err) {
			return &media.FileError{Path: h.name(), Err: err}
		}
		h.options.Warn(fmt.Sprintf("%s is gone: %v; sending nothing until it is back", h.name(), err))
		h.presence.set(true)
		if open = h.reopen(ctx); open == nil {
			return nil
		}
		h.presence.set(false)
		h.options.Warn(h.name() + " is back")
	}
}

// Run implements source.Source.
func (a *microphoneSource) Run(ctx context.Context) error {
	if a.used.Swap(true) {
		return &media.FileError{Path: a.hub.name(), Err: errors.New("it has been closed, or runs already")}
	}
	return a.hub.worker.run(ctx)
}

// SetLoss tells what share of the packets this call has lost lately, 0 to 1: the more, the more is sent twice. It never
// blocks.
func (a *microphoneSource) SetLoss(share float64) { a.hub.loss.tell(share, time.Now()) }

// OnPresence has f told when the microphone goes away and when it is back; at once if it is away. f must not block, and
// nil ends it, as Close does.
func (a *microphoneSource) OnPresence(f func(gone bool)) { a.hub.presence.watch(a, f) }

// Close implements source.Source.
func (a *microphoneSource) Close() error {
	a.used.Store(true)
	a.OnPresence(nil)
	a.release()
	return nil
}

func isDeviceLost(err error) bool {
	var lost *deviceLostError
	return errors.As(err, &lost)
}

// listen sends what comes until ctx ends or the device is lost.
func (h *sharedMicrophone) listen(ctx context.Context, s audioStream, p *packetizer) error {
	// What came before anybody was there to send it is old.
	for len(s.chunks()) > 0 {
		<-s.chunks()
	}
	p.resume(time.Now())
	silence := time.NewTimer(stallTimeout)
	defer silence.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case c := <-s.chunks():
			silence.Reset(stallTimeout)
			if err := p.add(c); err != nil {
				return err
			}
		case <-s.stopped():
			return &deviceLostError{errors.New("the sound system has stopped it")}
		case <-silence.C:
			return &deviceLostError{fmt.Errorf("no sound for %v", stallTimeout)}
		}
	}
}

// reopen tries until the device is back, or ctx ends, which gives nil.
func (h *sharedMicrophone) reopen(ctx context.Context) audioStream {
	for wait := minRetryDelay; ; wait = min(2*wait, maxRetryDelay) {
		if !sleep(ctx, wait) {
			return nil
		}
		s, err := h.device.open()
		if err == nil {
			return s
		}
		h.options.Logger.Debug("device is not back", "device", h.device.String(), "error", err)
	}
}

// close gives back a device that nobody has taken.
func (h *sharedMicrophone) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open != nil {
		h.open.close()
		h.open = nil
	}
}

// packetizer makes packets of Opus from samples as they come. Time is counted in samples, which is the clock of the
// sound card. But a card that was not read in time drops samples and tells nobody, so that the clock of the machine
// has the last word: whoever is behind it for long has lost something, and without a gap in the timestamps the sound
// would stay behind the picture by that for the rest of the call.
type packetizer struct {
	encoder  *opusEncoder
	write    func(packet []byte, at time.Duration)
	rate     int
	channels int
	loss     func() int // to expect, in per cent; nil for what is usual
	pcm      []int16    // not encoded yet
	start    time.Time
	position int64 // of pcm's first sample after the start

	minLag       time.Duration // behind the clock of the machine, in this span
	lagWindowEnd time.Time
}

const (
	lagWindow = time.Second            // what comes late comes within that, or never
	maxLag    = 100 * time.Millisecond // more cannot be the drift of clocks, within some minutes
)

func newPacketizer(rate, channels, bitrate int, write func([]byte, time.Duration)) (*packetizer, error) {
	p := &packetizer{write: write, rate: rate, channels: channels}
	var err error
	if p.encoder, err = newOpus(rate, channels, bitrate); err != nil {
		return nil, fmt.Errorf("make an encoder for Opus: %w", err)
	}
	return p, nil
}

// resume begins, or goes on after a time without samples.
func (p *packetizer) resume(now time.Time) {
	if p.start.IsZero() {
		p.start = now
	}
	p.skipTo(int64(now.Sub(p.start).Seconds() * float64(p.rate)))
	p.startLagWindow(now)
}

// skipTo leaves out the time to a position, by whole packets, and what has not been sent before it.
func (p *packetizer) skipTo(position int64) {
	p.pcm = p.pcm[:0]
	perPacket := int64(p.samplesPerPacket())
	if position > p.position {
		p.position += (position - p.position + perPacket - 1) / perPacket * perPacket
	}
}

func (p *packetizer) samplesPerPacket() int { return p.rate * int(packetTime/time.Millisecond) / 1000 }

// add sends what has become complete.
func (p *packetizer) add(c audioChunk) error {
	if c.missed > 0 {
		p.skipTo(p.position + int64(len(p.pcm)/p.channels+c.missed))
	}
	p.pcm = append(p.pcm, c.pcm...)
	p.catchUp(c.at)
	if p.loss != nil {
		if err := p.encoder.expect(p.loss()); err != nil {
			return err
		}
	}
	size := p.samplesPerPacket() * p.channels
	sent := 0
	for ; len(p.pcm)-sent >= size; sent += size {
		packet, err := p.encoder.encode(p.pcm[sent : sent+size])
		if err != nil {
			return fmt.Errorf("encode sound: %w", err)
		}
		// Up to 2 bytes are nothing new since the packet before: the sender is silent (RFC 7587 section 3.1.3).
		if len(packet) > 2 {
			p.write(packet, p.at())
		}
		p.position += int64(p.samplesPerPacket())
	}
	p.pcm = append(p.pcm[:0], p.pcm[sent:]...)
	return nil
}

// catchUp leaves a gap where samples have been lost.
func (p *packetizer) catchUp(now time.Time) {
	has := time.Duration(float64(p.position+int64(len(p.pcm)/p.channels)) / float64(p.rate) * float64(time.Second))
	p.minLag = min(p.minLag, now.Sub(p.start)-has)
	if now.Before(p.lagWindowEnd) {
		return
	}
	if p.minLag > maxLag {
		kept := p.pcm
		p.skipTo(p.position + int64(p.minLag.Seconds()*float64(p.rate)))
		p.pcm = kept // it was recorded after the gap
	}
	p.startLagWindow(now)
}

func (p *packetizer) startLagWindow(now time.Time) {
	p.minLag, p.lagWindowEnd = math.MaxInt64, now.Add(lagWindow)
}

// at is the time of the next packet, in whole packets because samples would overflow after two days.
func (p *packetizer) at() time.Duration {
	return time.Duration(p.position/int64(p.samplesPerPacket())) * packetTime
}

func (p *packetizer) close() { p.encoder.close() }

// Bounds of the loss, in per cent, that an encoder is told to expect. It then puts the packet before into each one once
// more, when somebody speaks; below minExpectedLoss it hardly does.
const (
	minExpectedLoss = 10
	maxExpectedLoss = 30
	// lossDecay is how long nothing may have been lost before the copies, which take a part of the bitrate, are left out.
	lossDecay = 20 * time.Second
)

// losses are what the calls that share a microphone tell of packets that were lost.
type lossEstimate struct {
	mu    sync.Mutex // guards what follows
	now   int        // per cent that is expected
	until time.Time  // when it may become less, zero before anybody has told anything
}

// tell notes the share of the packets that one call has lost in the last seconds, 0 to 1. One encoder is for all of them,
// so the worst of all counts.
func (l *lossEstimate) tell(share float64, at time.Time) {
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

// expected is the loss to expect, in per cent; some, before anything is known.
func (l *lossEstimate) expected() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.until.IsZero() {
		return minExpectedLoss
	}
	return l.now
}
