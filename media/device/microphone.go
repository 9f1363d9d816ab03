//go:build linux && cgo

package device

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gen2brain/malgo"
)

// period is how much comes at a time, in ms. The sound card may keep periods of these, half a second, while the machine
// has no time for it: that is no delay, for what is there is taken at once. As much may wait to be encoded.
const (
	period     = 10
	periods    = 50
	maxWaiting = 50
)

// An audioDevice is a microphone, open or not, there or not.
type audioDevice interface {
	open() (samples, error)
	String() string
}

// samples are those of an open microphone.
type samples interface {
	chunks() <-chan chunk
	stopped() <-chan struct{} // closed when nothing comes any more
	close()
}

// chunk is what comes at a time.
type chunk struct {
	at     time.Time // when it came
	missed int       // samples of each channel that came before it and had no room
	pcm    []int16   // of all channels by turns
}

// microphone is one device for recording, "" for the default of the system.
type microphone struct {
	id       string
	name     named
	rate     int
	channels int
}

func (m *microphone) String() string { return m.name.String() }

// find looks for the device, which may have another number than before.
func (m *microphone) find(s *sound) (*malgo.DeviceInfo, error) {
	info, name, err := s.choose(malgo.Capture, "microphone", m.id)
	if errors.Is(err, errNone) {
		return nil, errors.New("this machine has no microphone; plug one in, or send --audio test")
	}
	if err == nil {
		m.name = name
	}
	return info, err
}

// recording is a microphone that records.
type recording struct {
	sound  *sound
	device *malgo.Device
	out    chan chunk
	gone   chan struct{}
	once   sync.Once
}

// open implements audioDevice.
func (m *microphone) open() (samples, error) {
	s, err := newSound()
	if err != nil {
		return nil, err
	}
	info, err := m.find(s)
	if err != nil {
		s.close()
		return nil, err
	}
	m.id = m.name.id // the same one, when it comes back
	r := &recording{sound: s, out: make(chan chunk, maxWaiting), gone: make(chan struct{})}
	if r.device, err = m.start(r, info); err != nil {
		s.close()
		return nil, err
	}
	return r, nil
}

func (m *microphone) start(r *recording, info *malgo.DeviceInfo) (*malgo.Device, error) {
	config := malgo.DefaultDeviceConfig(malgo.Capture)
	config.SampleRate = uint32(m.rate) // what the card has is converted
	config.PeriodSizeInMilliseconds = period
	config.Periods = periods
	config.Capture.Format = malgo.FormatS16
	config.Capture.Channels = uint32(m.channels)
	id := info.ID.Pointer()
	defer freeC(id)
	config.Capture.DeviceID = id
	device, err := malgo.InitDevice(r.sound.Context, config, malgo.DeviceCallbacks{Data: r.take(m.channels), Stop: r.stop})
	if err != nil {
		return nil, soundError(err)
	}
	if err := device.Start(); err != nil {
		device.Uninit()
		return nil, soundError(err)
	}
	return device, nil
}

// take is called on the thread of the sound system, which must not wait. The samples are copied, because the sound
// system writes over them.
func (r *recording) take(channels int) malgo.DataProc {
	missed := 0
	return func(_, in []byte, frames uint32) {
		c := chunk{at: time.Now(), missed: missed, pcm: make([]int16, int(frames)*channels)}
		for i := range c.pcm {
			c.pcm[i] = int16(binary.NativeEndian.Uint16(in[2*i:]))
		}
		select {
		case r.out <- c:
			missed = 0
		default:
			missed += int(frames)
		}
	}
}

func (r *recording) stop() { r.once.Do(func() { close(r.gone) }) }

func (r *recording) chunks() <-chan chunk     { return r.out }
func (r *recording) stopped() <-chan struct{} { return r.gone }

func (r *recording) close() {
	r.device.Uninit()
	r.sound.close()
}

// soundError says what an error of the sound system means and what to do.
func soundError(err error) error {
	switch {
	case errors.Is(err, malgo.ErrBusy), errors.Is(err, malgo.ErrAlreadyInUse), errors.Is(err, malgo.ErrDeviceAlreadyInitialized):
		return fmt.Errorf("it is in use by another program (%w); end that one first", err)
	case errors.Is(err, malgo.ErrAccessDenied):
		return fmt.Errorf("this user may not use it: %w; join the group audio, or run as a user who may", err)
	case errors.Is(err, malgo.ErrNoDevice), errors.Is(err, malgo.ErrDoesNotExist):
		return fmt.Errorf("it is gone: %w; plug it in again", err)
	}
	return fmt.Errorf("it does not work: %w", err)
}
