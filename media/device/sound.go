//go:build linux && cgo

package device

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdlib.h>

static void hush(const char *file, int line, const char *function, int err, const char *format, ...) {}

// hushALSA keeps libasound from writing to stderr about each device of its configuration that is not there.
static void hushALSA(void) {
	void *lib = dlopen("libasound.so.2", RTLD_NOW);
	if (!lib) return;
	int (*set)(void *) = (int (*)(void *))dlsym(lib, "snd_lib_error_set_handler");
	if (set) set((void *)hush);
}
*/
import "C"

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"github.com/gen2brain/malgo"
)

// sound is a connection to the sound system.
type sound struct{ *malgo.AllocatedContext }

// newSound connects to PulseAudio (or PipeWire in its place), or else to ALSA. JACK is left out: asking whether it is
// there writes to stderr and may start it.
func newSound() (*sound, error) {
	C.hushALSA()
	c, err := malgo.InitContext([]malgo.Backend{malgo.BackendPulseaudio, malgo.BackendAlsa}, malgo.ContextConfig{}, nil)
	if err != nil {
		return nil, fmt.Errorf("this machine has no sound: neither PulseAudio nor ALSA answers (%w); "+
			"install libasound2, or start PulseAudio or PipeWire", err)
	}
	return &sound{c}, nil
}

func (s *sound) close() {
	_ = s.Uninit() // it is over in any case
	s.Free()
}

// devices are those of kind that are something, in the order of the system.
func (s *sound) devices(kind malgo.DeviceType) ([]malgo.DeviceInfo, error) {
	all, err := s.Devices(kind)
	if err != nil {
		return nil, fmt.Errorf("the sound system does not tell its devices: %w", err)
	}
	return slices.DeleteFunc(all, func(d malgo.DeviceInfo) bool { return pseudo(soundName(d).id) }), nil
}

var errNone = errors.New("this machine has none")

// choose finds the device of a kind that id means, "" for the default of the system.
func (s *sound) choose(kind malgo.DeviceType, class, id string) (*malgo.DeviceInfo, named, error) {
	all, err := s.devices(kind)
	if err != nil {
		return nil, named{}, err
	}
	if len(all) == 0 {
		return nil, named{}, errNone
	}
	names, i := make([]named, len(all)), 0
	for j, d := range all {
		if names[j] = soundName(d); d.IsDefault != 0 {
			i = j
		}
	}
	if id != "" {
		if i, err = choose(class, id, names); err != nil {
			return nil, named{}, err
		}
	}
	return &all[i], names[i], nil
}

// pseudo tells if an ALSA name stands for a conversion, not for a device. Those that can record or play without one
// behind them have these names in alsa-lib and alsa-plugins.
func pseudo(id string) bool {
	id, _, _ = strings.Cut(id, ":")
	return slices.Contains([]string{
		"pulse", "pipewire", // which would have been asked before ALSA, if it were there
		"null", "lavrate", "samplerate", "speexrate", "upmix", "vdownmix", "speex", "oss", "jack",
		"a52", "lavc", "usbstream", "dsnoop", "dmix", "dshare", "plughw", "hdmi", "iec958", "spdif", "surround",
	}, id)
}

// soundName reads an id, which is a name with zeros after it with both sound systems. Of ALSA's own it is ":CARD,DEVICE",
// which is "hw:CARD,DEVICE" to everybody else.
func soundName(d malgo.DeviceInfo) named {
	id, _, _ := bytes.Cut(d.ID[:], []byte{0})
	n := named{id: string(id), name: d.Name()}
	if strings.HasPrefix(n.id, ":") {
		n.id = "hw" + n.id
	}
	if n.id == "" {
		n.id = "default"
	}
	return n
}

// sounds are what List tells.
func sounds() (microphones, speakers []Sound, err error) {
	s, err := newSound()
	if err != nil {
		return nil, nil, err
	}
	defer s.close()
	tell := func(kind malgo.DeviceType) []Sound {
		found, failed := s.devices(kind)
		err = errors.Join(err, failed)
		var all []Sound
		for _, d := range found {
			n := soundName(d)
			all = append(all, Sound{ID: n.id, Name: n.name, Default: d.IsDefault != 0})
		}
		return all
	}
	microphones, speakers = tell(malgo.Capture), tell(malgo.Playback)
	return microphones, speakers, err
}

// freeC frees memory that malgo has taken from C.
func freeC(p unsafe.Pointer) { C.free(p) }
