// Package inventory describes the devices of a machine, and chooses one by what a user calls it.
package inventory

import (
	"fmt"
	"strconv"
	"strings"
)

// All lists the devices of this machine and the abilities of this build.
type All struct {
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

// Screen is one screen of the X server at $DISPLAY.
type Screen struct {
	ID     string `json:"id"`
	Width  int    `json:"width"`
	Height int    `json:"height"`
}

// AudioDevice is one microphone or speaker. Its name comes from the device and is not sanitized.
type AudioDevice struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Default bool   `json:"default"`
}

// Name identifies a device.
type Name struct {
	ID    string // of the system
	Label string // from the device, not sanitized; empty if it has none
}

func (n Name) String() string {
	if n.Label == "" || n.Label == n.ID {
		return n.ID
	}
	return fmt.Sprintf("%s (%s)", n.ID, n.Label)
}

// Select returns the index of the device that id identifies: an ID, an index, or a part of
// one name only.
func Select(class, id string, all []Name) (int, error) {
	for i, n := range all {
		if n.ID == id {
			return i, nil
		}
	}
	if i, err := strconv.Atoi(id); err == nil && i >= 0 && i < len(all) {
		return i, nil
	}
	var found []int
	for i, n := range all {
		if id != "" && strings.Contains(strings.ToLower(n.Label), strings.ToLower(id)) {
			found = append(found, i)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return 0, fmt.Errorf("there is no such %s; %s", class, list(class, all))
	}
	return 0, fmt.Errorf("several have that in their name; %s", list(class, all))
}

func list(class string, all []Name) string {
	if len(all) == 0 {
		return fmt.Sprintf("this machine has no %s", class)
	}
	names := make([]string, len(all))
	for i, n := range all {
		names[i] = n.String()
	}
	return "there is " + strings.Join(names, ", ")
}
