package devices

import (
	"bytes"
	"strings"
	"testing"

	"parley/cmd/parley/internal/event/eventtest"
	"parley/media/device/inventory"
)

// testInventory has one of everything, with names that a device could have made up to fool a
// terminal.
func testInventory() inventory.All {
	return inventory.All{
		Cameras: []inventory.Camera{
			{ID: "video0", Name: "\x1b[31mred\n", Formats: []inventory.Format{
				{Width: 320, Height: 180, Pixels: "MJPEG", Rates: []float64{5, 29.97}},
				{Width: 320, Height: 180, Pixels: "YUYV", Rates: []float64{5, 29.97}},
				{Width: 640, Height: 480, Pixels: "YUYV", Rates: []float64{15}},
				{Width: 800, Height: 600, Pixels: "YUYV"},
			}},
			{ID: "video2", Problem: "it is in use"},
		},
		Microphones: []inventory.AudioDevice{{ID: "hw:0,1", Name: "Mic", Default: true}},
		Speakers:    []inventory.AudioDevice{{ID: "hw:0,0", Name: "Box"}},
		Screens:     []inventory.Screen{{ID: "0", Width: 1024, Height: 768}},
		Codecs:      []string{"video/H264", "audio/opus"},
		Problems:    []string{"no audio"},
		Lacks:       []string{"no VP8"},
	}
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	if err := WriteTable(&out, testInventory()); err != nil {
		t.Fatal(err)
	}
	want := `KIND        ID      NAME               WHAT
camera      video0  \x1b[31mred\x0a    320x180@5-29.97 MJPEG YUYV
                                       640x480@15 YUYV
                                       800x600 YUYV
camera      video2                     it is in use
microphone  hw:0,1  Mic                default
speaker     hw:0,0  Box
screen      0                          1024x768
encoder     H264
encoder     opus
problem: no audio
missing: no VP8
`
	got := out.String()
	if squeeze(got) != squeeze(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// squeeze makes all runs of spaces one.
func squeeze(s string) string {
	for strings.Contains(s, "  ") {
		s = strings.ReplaceAll(s, "  ", " ")
	}
	return s
}

func TestJSON(t *testing.T) {
	var out bytes.Buffer
	if err := WriteJSON(&out, testInventory()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"formats":[{"width":320,"height":180,"pixels":"MJPEG","rates":[5,29.97]}`, `"rates":[]}`,
		`{"id":"video2","name":"","formats":[],"problem":"it is in use"}`,
		`"microphones":[{"id":"hw:0,1","name":"Mic","default":true}]`, `"screens":[{"id":"0","width":1024,"height":768}]`,
		`"encoders":["H264","opus"],"problems":["no audio"],"missing_features":["no VP8"]`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, out.String())
		}
	}
	out.Reset()
	if err := WriteNDJSON(&out, testInventory()); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for _, line := range lines {
		if err := eventtest.Validate("event", line); err != nil {
			t.Error(err)
		}
	}
	if len(lines) != 9 || !strings.Contains(lines[0], `"event":"device","kind":"camera","id":"video0"`) {
		t.Errorf("got %d events, want 9:\n%s", len(lines), out.String())
	}
}
