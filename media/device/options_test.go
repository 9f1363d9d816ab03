package device

import (
	"bytes"
	"errors"
	"math"
	"os"
	"os/exec"
	"strings"
	"testing"

	"parley/media"
)

func TestNames(t *testing.T) {
	for spec, want := range map[string]bool{
		"camera": true, "camera:1": true, "screen": true, "microphone:hw:0,1": true,
		"camera.ivf": false, "test": false, "-": false, "": false, "cameras": false,
	} {
		if Names(spec) != want {
			t.Errorf("%q", spec)
		}
	}
}

func TestSpecErrors(t *testing.T) {
	for _, o := range []VideoOptions{{Width: 320}, {Width: -1, Height: -1}, {FrameRate: 1e9}, {FrameRate: math.NaN()}, {Bitrate: -1}} {
		_, err := OpenVideo("camera", o)
		var spec *media.SpecError
		if !errors.As(err, &spec) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	for _, o := range []AudioOptions{{Channels: 3}, {Channels: -1}, {Bitrate: 1}, {Rate: -1}} {
		_, err := OpenAudio("microphone", o)
		var spec *media.SpecError
		if !errors.As(err, &spec) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestMissingDevice opens devices that no machine has, in any build.
func TestMissingDevice(t *testing.T) {
	_, err := OpenVideo("camera:no such camera", VideoOptions{})
	var file *media.FileError
	if !errors.As(err, &file) || !strings.Contains(err.Error(), "camera:no such camera: this") && !strings.Contains(err.Error(), "there is no such camera") {
		t.Errorf("camera: %v", err)
	}
	_, err = OpenAudio("microphone:no such microphone", AudioOptions{})
	if !errors.As(err, &file) {
		t.Errorf("microphone: %v", err)
	}
	t.Setenv("DISPLAY", "")
	if _, err = OpenVideo("screen", VideoOptions{}); !errors.As(err, &file) {
		t.Errorf("screen: %v", err)
	}
}

// TestListTrace lists devices in a process of its own, whose standard error must be empty.
func TestListTrace(t *testing.T) {
	if os.Getenv("PARLEY_TEST_LIST") == "1" {
		List()
		return
	}
	c := exec.Command(os.Args[0], "-test.run=^TestListTrace$")
	c.Env = append(os.Environ(), "PARLEY_TEST_LIST=1")
	var stderr bytes.Buffer
	c.Stderr = &stderr
	if out, err := c.Output(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if stderr.Len() > 0 {
		t.Errorf("stderr has: %s", stderr.String())
	}
}
