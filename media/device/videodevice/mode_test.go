//go:build linux && cgo

package videodevice

import "testing"

func TestSelectMode(t *testing.T) {
	vivid := []Mode{
		{320, 180, 30, 1}, {320, 180, 10, 1}, {320, 180, 10, 0}, {640, 360, 30, 0}, {640, 480, 15, 1},
		{640, 480, 30, 3}, {1280, 720, 10, 0}, {1280, 720, 30, 3}, {1920, 1080, 5, 0}, {0, 0, 30, 0},
	}
	for want, expect := range map[Mode]Mode{
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
	if i := selectMode(Mode{Width: 1, Height: 1}, []Mode{{}}); i != -1 {
		t.Errorf("nearest of nothing is %d", i)
	}
}
