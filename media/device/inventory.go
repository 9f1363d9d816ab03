package device

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Inventory is what is attached to this machine and what this build can do with it.
type Inventory struct {
	Cameras     []Camera      `json:"cameras"`
	Microphones []AudioDevice `json:"microphones"`
	Speakers    []AudioDevice `json:"speakers"`
	Screens     []Screen      `json:"screens"`
	// Codecs that this build encodes to, MIME types.
	Codecs []string `json:"codecs"`
	// Lacks are sentences: what this build has not, and which build has.
	Lacks []string `json:"lacks"`
	// Problems are sentences: what could not be looked at.
	Problems []string `json:"problems"`
}

// Camera is one camera. Names come from the device.
type Camera struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Formats []Format `json:"formats"`
	// Problem is why it cannot be used now, "" if it can.
	Problem string `json:"problem,omitempty"`
}

// Format is one picture size of a camera, with the rates it does there.
type Format struct {
	Width  int       `json:"width"`
	Height int       `json:"height"`
	Pixels string    `json:"pixels"`
	Rates  []float64 `json:"rates"`
}

// Sound is one microphone or speaker. Names come from the device.
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

// List looks at what there is. It opens each camera for a moment, but takes no picture.
func List() Inventory {
	all := list()
	all.Codecs, all.Lacks = Codecs(), Lacks()
	return all
}

// Codecs are the MIME types that this build encodes to, video before audio, the preferred first.
func Codecs() []string { return codecs() }

// Lacks are sentences: what of this package is not in this build, and which build has it.
func Lacks() []string { return lacks() }

// named is one thing that a user can choose.
type deviceName struct{ id, name string }

func (n deviceName) String() string {
	if n.name == "" || n.name == n.id {
		return n.id
	}
	return fmt.Sprintf("%s (%s)", n.id, n.name)
}

// choose finds the one that id means: a number from 0, an id, or a part of the name that only one has.
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

// mode is one way in which a camera can run.
type mode struct {
	width, height int
	rate          float64 // 0 if the camera does not say
	cost          int     // of unpacking its pictures: between equals the lower one wins
}

// nearest is the index of the mode that comes nearest to want: first by size, because that is what a viewer sees,
// then by rate, then by cost. Sizes compare by ratio: 640 is as far from 320 as from 1280.
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

// fitsBetter tells if a is closer to want than b is.
func fitsBetter(want, a, b mode) bool {
	if da, db := fitnessDistance(want, a), fitnessDistance(want, b); da != db {
		return da < db
	}
	if da, db := frameRateDistance(want, a), frameRateDistance(want, b); da != db {
		return da < db
	}
	return a.cost < b.cost
}

func fitnessDistance(a, b mode) float64 {
	return math.Abs(math.Log(float64(a.width)/float64(b.width))) + math.Abs(math.Log(float64(a.height)/float64(b.height)))
}

// frameRateDistance rounds to a tenth, so that 29.97 is as good as 30 where the pixels cost less.
func frameRateDistance(a, b mode) float64 {
	if b.rate == 0 {
		return 1000
	}
	return math.Round(math.Abs(a.rate-b.rate)*10) / 10
}
