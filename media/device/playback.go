//go:build linux && cgo

package device

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/gen2brain/malgo"
)

// playPeriod is how much the sound card takes at a time, in ms, and playPeriods how many of these it holds.
const (
	playPeriod  = 10
	playPeriods = 4
)

// card is a sound card that plays. If it goes away, it is opened again until it is back.
type card struct {
	id      string
	name    named
	speaker *Speaker
	cancel  context.CancelFunc
	work    sync.WaitGroup
}

// cardRun is a card that is open.
type cardRun struct {
	sound  *sound
	device *malgo.Device
	gone   chan struct{}
	once   sync.Once
}

func openPlayback(id string, s *Speaker) (playback, error) {
	c := &card{id: id, speaker: s}
	open, err := c.open()
	if err != nil {
		return nil, err
	}
	s.options.Logger.Info("device opened", "device", "speaker "+c.name.String())
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	c.work.Go(func() { c.keep(ctx, open) })
	return c, nil
}

func (c *card) close() {
	c.cancel()
	c.work.Wait()
}

// keep closes the card when ctx ends, and opens it again when it was lost before.
func (c *card) keep(ctx context.Context, open *cardRun) {
	for {
		select {
		case <-ctx.Done():
			open.close()
			return
		case <-open.gone:
		}
		open.close()
		c.speaker.options.Tell(fmt.Sprintf("speaker %s is gone; nothing is heard until it is back", c.name))
		if open = c.reopen(ctx); open == nil {
			return
		}
		c.speaker.options.Tell(fmt.Sprintf("speaker %s is back", c.name))
	}
}

// reopen tries until the card is back, or ctx ends, which gives nil.
func (c *card) reopen(ctx context.Context) *cardRun {
	for wait := retryFirst; ; wait = min(2*wait, retryMost) {
		if !sleep(ctx, wait) {
			return nil
		}
		if open, err := c.open(); err == nil {
			return open
		}
	}
}

func (c *card) open() (*cardRun, error) {
	s, err := newSound()
	if err != nil {
		return nil, err
	}
	info, name, err := s.choose(malgo.Playback, "speaker", c.id)
	if errors.Is(err, errNone) {
		err = errors.New("this machine has no speaker; plug one in, or leave out --play")
	}
	if err != nil {
		s.close()
		return nil, err
	}
	c.name, c.id = name, name.id // the same one, when it comes back
	r := &cardRun{sound: s, gone: make(chan struct{})}
	config := malgo.DefaultDeviceConfig(malgo.Playback)
	config.SampleRate = 48000 // that of Opus; what the card has is converted
	config.PeriodSizeInMilliseconds, config.Periods = playPeriod, playPeriods
	config.Playback.Format = malgo.FormatF32
	config.Playback.Channels = speakerChannels
	id := info.ID.Pointer()
	defer freeC(id)
	config.Playback.DeviceID = id
	r.device, err = malgo.InitDevice(s.Context, config, malgo.DeviceCallbacks{Data: c.give, Stop: r.stop})
	if err == nil {
		if err = r.device.Start(); err != nil {
			r.device.Uninit()
		}
	}
	if err != nil {
		s.close()
		return nil, soundError(err)
	}
	return r, nil
}

// give is called on the thread of the sound system, which must not wait.
func (c *card) give(out, _ []byte, frames uint32) {
	for i, sample := range c.speaker.fill(int(frames)) {
		binary.NativeEndian.PutUint32(out[4*i:], math.Float32bits(sample))
	}
}

func (r *cardRun) stop() { r.once.Do(func() { close(r.gone) }) }

func (r *cardRun) close() {
	r.device.Uninit()
	r.sound.close()
}
