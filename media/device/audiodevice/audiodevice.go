//go:build linux && cgo

package audiodevice

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdlib.h>

static void ignore(const char *file, int line, const char *function, int err, const char *format, ...) {}

// silence_alsa stops libasound from writing to stderr about missing devices of its configuration.
static void silence_alsa(void) {
	void *lib = dlopen("libasound.so.2", RTLD_NOW);
	if (!lib) return;
	int (*set)(void *) = (int (*)(void *))dlsym(lib, "snd_lib_error_set_handler");
	if (set) set((void *)ignore);
}
*/
import "C"

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"

	"parley/media"
	"parley/media/device/hotplug"
	"parley/media/device/inventory"

	"github.com/gen2brain/malgo"
)

// audioSystem is a connection to PulseAudio or ALSA.
type audioSystem struct{ *malgo.AllocatedContext }

// connectAudioSystem connects to PulseAudio or PipeWire, or else to ALSA. It does not try JACK,
// which writes to stderr and may be started by that.
func connectAudioSystem() (*audioSystem, error) {
	C.silence_alsa()
	c, err := malgo.InitContext([]malgo.Backend{malgo.BackendPulseaudio, malgo.BackendAlsa}, malgo.ContextConfig{}, nil)
	if err != nil {
		return nil, fmt.Errorf("this machine has no audio: neither PulseAudio nor ALSA answers (%w); "+
			"install libasound2, or start PulseAudio or PipeWire", err)
	}
	return &audioSystem{c}, nil
}

func (s *audioSystem) close() {
	_ = s.Uninit() // there is nothing to do about an error
	s.Free()
}

// devices returns the devices of a kind in the order of the system, without pseudo devices.
func (s *audioSystem) devices(kind malgo.DeviceType) ([]malgo.DeviceInfo, error) {
	all, err := s.Devices(kind)
	if err != nil {
		return nil, fmt.Errorf("the audio system does not list its devices: %w", err)
	}
	return slices.DeleteFunc(all, func(d malgo.DeviceInfo) bool { return isPseudoDevice(audioDeviceName(d).ID) }), nil
}

var errNoDevice = errors.New("this machine has none")

// choose returns the device of a kind that id identifies, or the default of the system for "".
func (s *audioSystem) choose(kind malgo.DeviceType, class, id string) (*malgo.DeviceInfo, inventory.Name, error) {
	all, err := s.devices(kind)
	if err != nil {
		return nil, inventory.Name{}, err
	}
	if len(all) == 0 {
		return nil, inventory.Name{}, errNoDevice
	}
	names, i := make([]inventory.Name, len(all)), 0
	for j, d := range all {
		if names[j] = audioDeviceName(d); d.IsDefault != 0 {
			i = j
		}
	}
	if id != "" {
		if i, err = inventory.Select(class, id, names); err != nil {
			return nil, inventory.Name{}, err
		}
	}
	return &all[i], names[i], nil
}

// isPseudoDevice reports whether an ALSA device of alsa-lib or alsa-plugins is a conversion without
// hardware.
func isPseudoDevice(id string) bool {
	id, _, _ = strings.Cut(id, ":")
	return slices.Contains([]string{
		"pulse", "pipewire", // tried before ALSA
		"null", "lavrate", "samplerate", "speexrate", "upmix", "vdownmix", "speex", "oss", "jack",
		"a52", "lavc", "usbstream", "dsnoop", "dmix", "dshare", "plughw", "hdmi", "iec958", "spdif", "surround",
	}, id)
}

// audioDeviceName returns the name of a device. malgo has ":CARD,DEVICE" for "hw:CARD,DEVICE" of
// ALSA.
func audioDeviceName(d malgo.DeviceInfo) inventory.Name {
	id, _, _ := bytes.Cut(d.ID[:], []byte{0})
	n := inventory.Name{ID: string(id), Label: d.Name()}
	if strings.HasPrefix(n.ID, ":") {
		n.ID = "hw" + n.ID
	}
	if n.ID == "" {
		n.ID = "default"
	}
	return n
}

// List returns the microphones and speakers, without pseudo devices of ALSA.
func List() (microphones, speakers []inventory.AudioDevice, err error) {
	s, err := connectAudioSystem()
	if err != nil {
		return nil, nil, err
	}
	defer s.close()
	list := func(kind malgo.DeviceType) []inventory.AudioDevice {
		found, failed := s.devices(kind)
		err = errors.Join(err, failed)
		var all []inventory.AudioDevice
		for _, d := range found {
			n := audioDeviceName(d)
			all = append(all, inventory.AudioDevice{ID: n.ID, Name: n.Label, Default: d.IsDefault != 0})
		}
		return all
	}
	microphones, speakers = list(malgo.Capture), list(malgo.Playback)
	return microphones, speakers, err
}

// freeC frees memory that malgo has allocated.
func freeC(p unsafe.Pointer) { C.free(p) }

// period is the duration of a chunk in ms, and periods the number of chunks that the audio device
// buffers while the machine is busy: half a second, which adds no delay since all of them are read
// at once. As many may wait for the encoder.
const (
	period          = 10
	periods         = 50
	maxQueuedChunks = 50
)

// Device is a microphone.
type Device interface {
	// Open starts capturing. It may be called again after the stream was closed.
	Open() (Stream, error)
	String() string
}

// Stream is an open microphone.
type Stream interface {
	Chunks() <-chan Chunk
	Stopped() <-chan struct{} // closed when the device is lost
	Close()
}

// Chunk is a part of the audio.
type Chunk struct {
	At     time.Time // arrival
	Missed int       // samples per channel that were dropped before it
	PCM    []int16   // interleaved
}

// Microphone is a capture device, present or not.
type Microphone struct {
	ID       string // "" for the default of the system
	Rate     int    // in Hz
	Channels int

	name inventory.Name
}

func (m *Microphone) String() string { return m.name.String() }

// find returns the device, whose index may have changed.
func (m *Microphone) find(s *audioSystem) (*malgo.DeviceInfo, error) {
	info, name, err := s.choose(malgo.Capture, "microphone", m.ID)
	if errors.Is(err, errNoDevice) {
		return nil, errors.New("this machine has no microphone; plug one in, or send --audio test")
	}
	if err == nil {
		m.name = name
	}
	return info, err
}

// microphoneStream is an open microphone.
type microphoneStream struct {
	audio  *audioSystem
	device *malgo.Device
	out    chan Chunk
	gone   chan struct{}
	once   sync.Once
}

// Open implements Device.
func (m *Microphone) Open() (Stream, error) {
	s, err := connectAudioSystem()
	if err != nil {
		return nil, err
	}
	info, err := m.find(s)
	if err != nil {
		s.close()
		return nil, err
	}
	m.ID = m.name.ID // to reopen the same one
	r := &microphoneStream{audio: s, out: make(chan Chunk, maxQueuedChunks), gone: make(chan struct{})}
	if r.device, err = m.start(r, info); err != nil {
		s.close()
		return nil, err
	}
	return r, nil
}

func (m *Microphone) start(r *microphoneStream, info *malgo.DeviceInfo) (*malgo.Device, error) {
	config := malgo.DefaultDeviceConfig(malgo.Capture)
	config.SampleRate = uint32(m.Rate) // converted from that of the card
	config.PeriodSizeInMilliseconds = period
	config.Periods = periods
	config.Capture.Format = malgo.FormatS16
	config.Capture.Channels = uint32(m.Channels)
	id := info.ID.Pointer()
	defer freeC(id)
	config.Capture.DeviceID = id
	device, err := malgo.InitDevice(r.audio.Context, config, malgo.DeviceCallbacks{Data: r.onData(m.Channels), Stop: r.stop})
	if err != nil {
		return nil, audioError(err)
	}
	if err := device.Start(); err != nil {
		device.Uninit()
		return nil, audioError(err)
	}
	return device, nil
}

// onData returns the callback for samples. It runs on the thread of the audio system, must not
// block, and copies the samples, which the audio system overwrites.
func (r *microphoneStream) onData(channels int) malgo.DataProc {
	missed := 0
	return func(_, in []byte, frames uint32) {
		c := Chunk{At: time.Now(), Missed: missed, PCM: make([]int16, int(frames)*channels)}
		for i := range c.PCM {
			c.PCM[i] = int16(binary.NativeEndian.Uint16(in[2*i:]))
		}
		select {
		case r.out <- c:
			missed = 0
		default:
			missed += int(frames)
		}
	}
}

func (r *microphoneStream) stop() { r.once.Do(func() { close(r.gone) }) }

// Chunks implements Stream.
func (r *microphoneStream) Chunks() <-chan Chunk { return r.out }

// Stopped implements Stream.
func (r *microphoneStream) Stopped() <-chan struct{} { return r.gone }

// Close implements Stream.
func (r *microphoneStream) Close() {
	r.device.Uninit()
	r.audio.close()
}

// audioError describes an error of the audio system with the next step.
func audioError(err error) error {
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

// playbackPeriod is the duration in ms that the audio device takes at a time, and playbackPeriods
// the number of these that it buffers.
const (
	playbackPeriod  = 10
	playbackPeriods = 4
)

// Channels is the number of channels of playback.
const Channels = 2

// PlaybackOptions are the options of OpenPlayback.
type PlaybackOptions struct {
	// Fill returns the next samples per channel, interleaved, at media.OpusClockRate. The result is
	// valid until the next call. Fill is called on the thread of the audio system.
	Fill func(frames int) []float32

	// Warn is called when the device is lost and when it is back.
	Warn func(text string)

	Logger *slog.Logger
}

// Playback is an audio device for playback, which is opened again after it was lost.
type Playback struct {
	id      string
	name    inventory.Name
	options PlaybackOptions
	cancel  context.CancelFunc
	work    sync.WaitGroup
}

// playbackStream is an open Playback.
type playbackStream struct {
	audio  *audioSystem
	device *malgo.Device
	gone   chan struct{}
	once   sync.Once
}

// OpenPlayback opens the speaker that id identifies, or the default of the system for "".
func OpenPlayback(id string, o PlaybackOptions) (*Playback, error) {
	c := &Playback{id: id, options: o}
	open, err := c.open()
	if err != nil {
		return nil, err
	}
	o.Logger.Info("device opened", "device", "speaker "+c.name.String())
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	c.work.Go(func() { c.keepOpen(ctx, open) })
	return c, nil
}

// Close closes the audio device.
func (c *Playback) Close() {
	c.cancel()
	c.work.Wait()
}

// keepOpen reopens the device when it is lost, and closes it when ctx ends.
func (c *Playback) keepOpen(ctx context.Context, open *playbackStream) {
	for {
		select {
		case <-ctx.Done():
			open.close()
			return
		case <-open.gone:
		}
		open.close()
		c.options.Warn(fmt.Sprintf("speaker %s is gone; nothing is heard until it is back", c.name))
		if open = c.reopen(ctx); open == nil {
			return
		}
		c.options.Warn(fmt.Sprintf("speaker %s is back", c.name))
	}
}

// reopen opens the device when it is back. It returns nil when ctx ends.
func (c *Playback) reopen(ctx context.Context) (open *playbackStream) {
	hotplug.Reopen(ctx, func() (err error) {
		open, err = c.open()
		return err
	})
	return open
}

func (c *Playback) open() (*playbackStream, error) {
	s, err := connectAudioSystem()
	if err != nil {
		return nil, err
	}
	info, name, err := s.choose(malgo.Playback, "speaker", c.id)
	if errors.Is(err, errNoDevice) {
		err = errors.New("this machine has no speaker; plug one in, or leave out --play")
	}
	if err != nil {
		s.close()
		return nil, err
	}
	c.name, c.id = name, name.ID // to reopen the same one
	r := &playbackStream{audio: s, gone: make(chan struct{})}
	config := malgo.DefaultDeviceConfig(malgo.Playback)
	config.SampleRate = media.OpusClockRate // converted to that of the card
	config.PeriodSizeInMilliseconds, config.Periods = playbackPeriod, playbackPeriods
	config.Playback.Format = malgo.FormatF32
	config.Playback.Channels = Channels
	id := info.ID.Pointer()
	defer freeC(id)
	config.Playback.DeviceID = id
	r.device, err = malgo.InitDevice(s.Context, config, malgo.DeviceCallbacks{Data: c.onData, Stop: r.stop})
	if err == nil {
		if err = r.device.Start(); err != nil {
			r.device.Uninit()
		}
	}
	if err != nil {
		s.close()
		return nil, audioError(err)
	}
	return r, nil
}

// onData is the callback that provides samples. It runs on the thread of the audio system.
func (c *Playback) onData(out, _ []byte, frames uint32) {
	for i, sample := range c.options.Fill(int(frames)) {
		binary.NativeEndian.PutUint32(out[4*i:], math.Float32bits(sample))
	}
}

func (r *playbackStream) stop() { r.once.Do(func() { close(r.gone) }) }

func (r *playbackStream) close() {
	r.device.Uninit()
	r.audio.close()
}
