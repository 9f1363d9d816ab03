package inventory

import (
	"strings"
	"testing"
)

func TestSelect(t *testing.T) {
	all := []Name{{"video0", "Front Camera"}, {"video2", "Rear Camera"}, {"2", "odd"}}
	for id, want := range map[string]int{"video2": 1, "0": 0, "1": 1, "2": 2, "rear": 1, "FRONT": 0} {
		if i, err := Select("camera", id, all); err != nil || i != want {
			t.Errorf("%s: %d, %v, want %d", id, i, err, want)
		}
	}
	for id, want := range map[string]string{
		"camera": "several", "video9": "there is no such camera; there is video0 (Front Camera), video2", "7": "there is no such", "-1": "there is no such",
	} {
		if _, err := Select("camera", id, all); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", id, err, want)
		}
	}
	if _, err := Select("camera", "x", nil); err == nil || !strings.Contains(err.Error(), "this machine has no camera") {
		t.Error(err)
	}
}
