package device

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Inventory lists the devices of this machine and the abilities of this build.
type Inventory struct {
	Cameras     []Camera      `json:"cameras"`
	Microphones []AudioDevice `json:"microphones"`
	Speakers    []AudioDevice `json:"speakers"`
	Screens     []Screen      `json:"screens"`
	// Codecs are the MIME types that this build encodes.
	Codecs []string `json:"codecs"`
	// Lacks are texts about what this build does not have, and which build has it.
	Lacks []string `json:"lacks"`
	// Problems are texts about what could not be listed.
	Problems []string `json:"problems"`
}

// Camera is one camera. Its name comes from the device and is not sanitized.
type Camera struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Formats []Format `json:"formats"`
	// Problem says why it cannot be used now. Problem is empty if it can.
	Problem string `json:"problem,omitempty"`
}

// Format is one frame size and pixel format of a camera, with its frame rates.
type Format struct {
	Width  int       `json:"width"`
	Height int       `json:"height"`
	Pixels string    `json:"pixels"`
	Rates  []float64 `json:"rates"`
}

// AudioDevice is one microphone or speaker. Its name comes from the device and is not sanitized.
type AudioDevice struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Default bool   `json:"default"`
}

// Screen is one screen of the X server at $DISPLAY.
type Screen struct {
	ID     string `json:"id"`
	Width  int    `json:"width"`
	Height int    `json:"height"`
}

// List lists devices. It opens each camera without capturing.
func List() Inventory {
	all := list()
	all.Codecs, all.Lacks = Codecs(), Lacks()
	return all
}

// Codecs returns the MIME types that this build encodes, video before audio, in order of
// preference.
func Codecs() []string { return codecs() }

// Lacks returns texts about what of this package is not in this build, and which build has it.
func Lacks() []string { return lacks() }

// deviceName identifies a device.
type deviceName struct{ id, name string }

func (n deviceName) String() string {
	if n.name == "" || n.name == n.id {
		return n.id
	}
	return fmt.Sprintf("%s (%s)", n.id, n.name)
}

// selectDevice returns the index of the device that id identifies: an ID, an index, or a part of
// one name only.
func selectDevice(class, id string, all []deviceName) (int, error) {
	for i, n := range all {
		if n.id == id {
			return i, nil
		}
	}
	if i, err := strconv.Atoi(id); err == nil && i >= 0 && i < len(all) {
		return i, nil
	}
	var found []int
	for i, n := range all {
		if id != "" && strings.Contains(strings.ToLower(n.name), strings.ToLower(id)) {
			found = append(found, i)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return 0, fmt.Errorf("there is no such %s; %s", class, listDevices(class, all))
	}
	return 0, fmt.Errorf("several have that in their name; %s", listDevices(class, all))
}

func listDevices(class string, all []deviceName) string {
	if len(all) == 0 {
		return fmt.Sprintf("this machine has no %s", class)
	}
	names := make([]string, len(all))
	for i, n := range all {
		names[i] = n.String()
	}
	return "there is " + strings.Join(names, ", ")
}

// mode is a mode of a camera or screen.
type mode struct {
	width, height int
	rate          float64 // in frames per second, 0 if unknown
	cost          int     // of converting frames: the lower one of equal modes is selected
}

// selectMode returns the index of the mode nearest to want by size, then by frame rate, then by
// cost, or -1.
func selectMode(want mode, modes []mode) int {
	best := -1
	for i, m := range modes {
		if m.width <= 0 || m.height <= 0 {
			continue
		}
		if best < 0 || fitsBetter(want, m, modes[best]) {
			best = i
		}
	}
	return best
}

// fitsBetter reports whether a is nearer to want than b.
func fitsBetter(want, a, b mode) bool {
	if da, db := fitnessDistance(want, a), fitnessDistance(want, b); da != db {
		return da < db
	}
	if da, db := frameRateDistance(want, a), frameRateDistance(want, b); da != db {
		return da < db
	}
	return a.cost < b.cost
}

// fitnessDistance returns the distance of two sizes by their ratios: 640 is as far from 320 as from
// 1280. The ideal values of constrainable properties are compared in a similar way (W3C Media
// Capture and Streams section 11).
func fitnessDistance(a, b mode) float64 {
	return math.Abs(math.Log(float64(a.width)/float64(b.width))) + math.Abs(math.Log(float64(a.height)/float64(b.height)))
}

// frameRateDistance returns the distance rounded to a tenth, so that 29.97 equals 30.
func frameRateDistance(a, b mode) float64 {
	if b.rate == 0 {
		return 1000
	}
	return math.Round(math.Abs(a.rate-b.rate)*10) / 10
}
