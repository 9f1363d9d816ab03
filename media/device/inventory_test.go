package device

import (
	"strings"
	"testing"
)

func TestSelectMode(t *testing.T) {
	vivid := []mode{
		{320, 180, 30, 1}, {320, 180, 10, 1}, {320, 180, 10, 0}, {640, 360, 30, 0}, {640, 480, 15, 1},
		{640, 480, 30, 3}, {1280, 720, 10, 0}, {1280, 720, 30, 3}, {1920, 1080, 5, 0}, {0, 0, 30, 0},
	}
	for want, expect := range map[mode]mode{
		{640, 480, 30, 0}:    {640, 480, 30, 3},
		{640, 480, 10, 0}:    {640, 480, 15, 1},
		{320, 240, 10, 0}:    {320, 180, 10, 0},
		{1, 1, 10, 0}:        {320, 180, 10, 0},
		{1280, 800, 29.9, 0}: {1280, 720, 30, 3},
		{9999, 9999, 60, 0}:  {1920, 1080, 5, 0},
	} {
		if i := selectMode(want, vivid); vivid[i] != expect {
			t.Errorf("nearest to %v is %v, want %v", want, vivid[i], expect)
		}
	}
	if i := selectMode(mode{width: 1, height: 1}, []mode{{}}); i != -1 {
		t.Errorf("nearest of nothing is %d", i)
	}
}

func TestSelectDevice(t *testing.T) {
	all := []deviceName{{"video0", "Front Camera"}, {"video2", "Rear Camera"}, {"2", "odd"}}
	for id, want := range map[string]int{"video2": 1, "0": 0, "1": 1, "2": 2, "rear": 1, "FRONT": 0} {
		if i, err := selectDevice("camera", id, all); err != nil || i != want {
			t.Errorf("%s: %d, %v, want %d", id, i, err, want)
		}
	}
	for id, want := range map[string]string{
		"camera": "several", "video9": "there is no such camera; there is video0 (Front Camera), video2", "7": "there is no such", "-1": "there is no such",
	} {
		if _, err := selectDevice("camera", id, all); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", id, err, want)
		}
	}
	if _, err := selectDevice("camera", "x", nil); err == nil || !strings.Contains(err.Error(), "this machine has no camera") {
		t.Error(err)
	}
}
