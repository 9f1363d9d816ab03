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

	"github.com/pion/webrtc/v4"

	"parley/media"
	"parley/media/localtrack"
	"parley/media/source"
)

// opusRates are what an Opus encoder takes (RFC 6716 section 2).
var opusRates = [...]int{8000, 12000, 16000, 24000, 48000}

const packetTime = 20 * time.Millisecond

// audioHub is a microphone, which is heard and encoded once for all calls that send it.
type audioHub struct {
	live    *localtrack.Track
	device  audioDevice
	options AudioOptions
	rate    int
	crew    crew

	presence presence
	losses   losses

	mu   sync.Mutex // guards open
	open samples    // started, and nobody has taken it yet
}

// audioSource is what one call has of a microphone.
type audioSource struct {
	*localtrack.Track
	hub     *audioHub
	release func() // given by who shares the device; at the end, once
	used    atomic.Bool
}

// sharedAudio is a microphone that is open for as many as users says.
type sharedAudio struct {
	hub   *audioHub
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
			o.Tell(fmt.Sprintf("microphone sends %d samples a second, the nearest that Opus can do to %d", rate, o.Rate))
		}
		hub, err := startAudio(spec, &microphone{id: id, rate: rate, channels: o.Channels}, rate, o)
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

// startAudio opens the device.
func startAudio(spec string, device audioDevice, rate int, o AudioOptions) (*audioHub, error) {
	open, err := device.open()
	if err != nil {
		return nil, &media.FileError{Path: spec, Err: err}
	}
	o.Logger.Info("device opened", "device", "microphone "+device.String(), "rate", rate, "channels", o.Channels)
	h := &audioHub{live: localtrack.New(localtrack.Capability(webrtc.MimeTypeOpus), o.StreamID, o.Logger), device: device, options: o, rate: rate, open: open}
	h.crew.begin = h.begin
	return h, nil
}

// source is the hub for one more call.
func (h *audioHub) source() *audioSource {
	return &audioSource{Track: h.live, hub: h, release: h.close}
}

func (h *audioHub) name() string { return "microphone " + h.device.String() }

// take is the open device: the one that is waiting, or one that is opened now.
func (h *audioHub) take() (s samples, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s, h.open = h.open, nil; s == nil {
		s, err = h.device.open()
	}
	return s, err
}

// begin is the crew's.
func (h *audioHub) begin() (func(context.Context) error, error) {
	p, err := newPacketizer(h.rate, h.options.Channels, h.options.Bitrate, h.live.WriteFrame)
	if err != nil {
		return nil, &media.FileError{Path: h.name(), Err: err}
	}
	p.loss = h.losses.expected
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
func (h *audioHub) work(ctx context.Context, open samples, p *packetizer) error {
	h.presence.set(false)
	for {
		err := h.listen(ctx, open, p)
		open.close()
		if ctx.Err() != nil {
			return nil
		}
		if !isLost(err) {
			return &media.FileError{Path: h.name(), Err: err}
		}
		h.options.Tell(fmt.Sprintf("%s is gone: %v; sending nothing until it is back", h.name(), err))
		h.presence.set(true)
		if open = h.reopen(ctx); open == nil {
			return nil
		}
		h.presence.set(false)
		h.options.Tell(h.name() + " is back")
	}
}

// Run implements source.Source.
func (a *audioSource) Run(ctx context.Context) error {
	if a.used.Swap(true) {
		return &media.FileError{Path: a.hub.name(), Err: errors.New("it has been closed, or runs already")}
	}
	return a.hub.crew.run(ctx)
}

// SetLoss tells what share of the packets this call has lost lately, 0 to 1: the more, the more is sent twice. It never
// blocks.
func (a *audioSource) SetLoss(share float64) { a.hub.losses.tell(share, time.Now()) }

// OnPresence has f told when the microphone goes away and when it is back; at once if it is away. f must not block, and
// nil ends it, as Close does.
func (a *audioSource) OnPresence(f func(gone bool)) { a.hub.presence.watch(a, f) }

// Close implements source.Source.
func (a *audioSource) Close() error {
	a.used.Store(true)
	a.OnPresence(nil)
	a.release()
	return nil
}

func isLost(err error) bool {
	var lost *lostError
	return errors.As(err, &lost)
}

// listen sends what comes until ctx ends or the device is lost.
func (h *audioHub) listen(ctx context.Context, s samples, p *packetizer) error {
	// What came before anybody was there to send it is old.
	for len(s.chunks()) > 0 {
		<-s.chunks()
	}
	p.resume(time.Now())
	silence := time.NewTimer(patience)
	defer silence.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case c := <-s.chunks():
			silence.Reset(patience)
			if err := p.add(c); err != nil {
				return err
			}
		case <-s.stopped():
			return &lostError{errors.New("the sound system has stopped it")}
		case <-silence.C:
			return &lostError{fmt.Errorf("no sound for %v", patience)}
		}
	}
}

// reopen tries until the device is back, or ctx ends, which gives nil.
func (h *audioHub) reopen(ctx context.Context) samples {
	for wait := retryFirst; ; wait = min(2*wait, retryMost) {
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
func (h *audioHub) close() {
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

	leastLag time.Duration // behind the clock of the machine, in this span
	spanEnds time.Time
}

const (
	lagSpan = time.Second            // what comes late comes within that, or never
	maxLag  = 100 * time.Millisecond // more cannot be the drift of clocks, within some minutes
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
	p.startSpan(now)
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
func (p *packetizer) add(c chunk) error {
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
	p.leastLag = min(p.leastLag, now.Sub(p.start)-has)
	if now.Before(p.spanEnds) {
		return
	}
	if p.leastLag > maxLag {
		kept := p.pcm
		p.skipTo(p.position + int64(p.leastLag.Seconds()*float64(p.rate)))
		p.pcm = kept // it was recorded after the gap
	}
	p.startSpan(now)
}

func (p *packetizer) startSpan(now time.Time) {
	p.leastLag, p.spanEnds = math.MaxInt64, now.Add(lagSpan)
}

// at is the time of the next packet, in whole packets because samples would overflow after two days.
func (p *packetizer) at() time.Duration {
	return time.Duration(p.position/int64(p.samplesPerPacket())) * packetTime
}

func (p *packetizer) close() { p.encoder.close() }
