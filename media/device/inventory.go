package device

import (
	"fmt"
	"strconv"
	"strings"
)

// Inventory is what is attached to this machine and what this build can do with it.
type Inventory struct {
	Cameras     []Camera `json:"cameras"`
	Microphones []Sound  `json:"microphones"`
	Speakers    []Sound  `json:"speakers"`
	Screens     []Screen `json:"screens"`
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
type Sound struct {
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
type named struct{ id, name string }

func (n named) String() string {
	if n.name == "" || n.name == n.id {
		return n.id
	}
	return fmt.Sprintf("%s (%s)", n.id, n.name)
}

// choose finds the one that id means: a number from 0, an id, or a part of the name that only one has.
func choose(class, id string, all []named) (int, error) {
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
		return 0, fmt.Errorf("there is no such %s; %s", class, thereIs(class, all))
	}
	return 0, fmt.Errorf("several have that in their name; %s", thereIs(class, all))
}

func thereIs(class string, all []named) string {
	if len(all) == 0 {
		return fmt.Sprintf("this machine has no %s", class)
	}
	names := make([]string, len(all))
	for i, n := range all {
		names[i] = n.String()
	}
	return "there is " + strings.Join(names, ", ")
}
