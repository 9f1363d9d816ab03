//go:build lab

package lab

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestLab runs testdata/devices.sh on a machine with a camera and an audio device that are known:
// $PARLEY_LAB is the command that runs another one there, as `lab -t SECONDS -o FOLDER -- COMMAND`,
// with this file system, and FOLDER as /out.
func TestLab(t *testing.T) {
	lab := os.Getenv("PARLEY_LAB")
	if lab == "" {
		t.Fatal("PARLEY_LAB is not set; run make lab, which says what it is")
	}
	folder, out := t.TempDir(), t.TempDir()
	parley := filepath.Join(folder, "parley")
	build := exec.Command("go", "build", "-o", parley, "parley/cmd/parley")
	build.Env = append(os.Environ(), "CGO_ENABLED=1")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	script, err := filepath.Abs("testdata/devices.sh")
	if err != nil {
		t.Fatal(err)
	}
	said, err := exec.Command(lab, "-t", "560", "-o", out, "--", "bash", script, parley, "/out").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s\n%s", err, said, readAll(out, "*.log"))
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(readAll(out, "*.log"), readAll(out, "codes"))
		}
	})
	t.Run("devices", func(t *testing.T) { labDevices(t, out) })
	t.Run("refusals", func(t *testing.T) { labRefusals(t, out) })
	t.Run("camera", func(t *testing.T) { labCamera(t, out) })
	t.Run("unplugged", func(t *testing.T) { labUnplugged(t, out) })
	t.Run("microphone", func(t *testing.T) { labMicrophone(t, out) })
	t.Run("played", func(t *testing.T) { labPlayed(t, out) })
}

func readAll(folder, pattern string) string {
	var all strings.Builder
	files, _ := filepath.Glob(filepath.Join(folder, pattern))
	for _, f := range files {
		data, _ := os.ReadFile(f)
		all.WriteString("== " + filepath.Base(f) + "\n" + string(data))
	}
	return all.String()
}

func labDevices(t *testing.T, out string) {
	var all struct {
		Cameras []struct {
			ID, Name string
			Formats  []struct {
				Width, Height int
				Rates         []float64
			}
		}
		Microphones, Speakers []struct{ ID string }
	}
	data, err := os.ReadFile(filepath.Join(out, "devices.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	if len(all.Cameras) != 1 || all.Cameras[0].ID != "video0" || all.Cameras[0].Name != "vivid" ||
		all.Cameras[0].Formats[0].Width != 320 || all.Cameras[0].Formats[0].Height != 180 || len(all.Cameras[0].Formats[0].Rates) < 5 {
		t.Errorf("cameras: %+v", all.Cameras)
	}
	if len(all.Microphones) != 2 || all.Microphones[1].ID != "hw:0,1" || len(all.Speakers) != 2 {
		t.Errorf("microphones %+v, speakers %+v", all.Microphones, all.Speakers)
	}
	if log := readAll(out, "devices.log"); !strings.HasSuffix(log, "== devices.log\n") {
		t.Errorf("it says: %s", log)
	}
}

func labRefusals(t *testing.T, out string) {
	codes := readAll(out, "codes")
	for _, want := range []string{"devices 0\n", "missing 20\n", "busy 20\n", "bob 0\n", "camera 0\n", "microphone 0\n", "carol 0\n", "unplugged 130\n", "dora 0\n", "played 0\n", "eve 0\n"} {
		if !strings.Contains(codes, want) {
			t.Errorf("no %q", want)
		}
	}
	for file, want := range map[string]string{
		"missing.log":   "there is no such camera; there is video0 (vivid)",
		"busy.log":      "in use by another program",
		"unplugged.log": "camera video0 (vivid) is gone: no such device; sending nothing until it is back\nparley: camera video0 (vivid) is back",
		"camera.log":    "camera video0 (vivid) sends 320x180@10, the nearest it can do to 320x240@10",
	} {
		if log := readAll(out, file); !strings.Contains(log, want) {
			t.Errorf("%s says no %q", file, want)
		}
	}
}

// labCamera looks for vivid's colour bars below its text, and for its running counter.
func labCamera(t *testing.T, out string) {
	const width, height, depth = 320, 180, 3
	raw := decode(t, filepath.Join(out, "camera.h264"), "-f", "rawvideo", "-pix_fmt", "rgb24")
	size := width * height * depth
	if len(raw)%size != 0 || len(raw)/size < 60 {
		t.Fatalf("%d bytes, which are no 60 frames of 320x180", len(raw))
	}
	bars := [8][3]int{{190, 190, 190}, {190, 190, 0}, {0, 190, 190}, {0, 190, 0}, {190, 0, 190}, {190, 0, 0}, {0, 0, 190}, {0, 0, 0}}
	last, changes := "", 0
	for ; len(raw) > 0; raw = raw[size:] {
		for i, want := range bars {
			at := (165*width + 20 + 40*i) * depth
			for c := range want {
				if math.Abs(float64(int(raw[at+c])-want[c])) > 20 {
					t.Fatalf("bar %d is %v, want %v", i, raw[at:at+3], want)
				}
			}
		}
		if text := string(raw[:30*width*depth]); text != last {
			last, changes = text, changes+1
		}
	}
	if changes < 50 {
		t.Errorf("the counter has changed %d times in 60 frames", changes)
	}
}

// labUnplugged: what came before the camera was gone and after it was back are one stream that
// decodes.
func labUnplugged(t *testing.T, out string) {
	if rates := readAll(out, "dora.log"); !regexp.MustCompile(`(?s)"fps":[1-9].*"fps":0[,}].*"fps":[1-9]`).MatchString(rates) {
		t.Errorf("frames did not come, stop and come again")
	}
	const size = 320 * 180 * 3
	raw := decode(t, filepath.Join(out, "again.h264"), "-f", "rawvideo", "-pix_fmt", "rgb24")
	if len(raw)%size != 0 || len(raw)/size < 10 {
		t.Errorf("%d bytes, which are no 10 frames of 320x180", len(raw))
	}
}

// labMicrophone listens for the tone in the last recording, which is the first without a silence:
// see devices.sh.
func labMicrophone(t *testing.T, out string) {
	files, err := filepath.Glob(filepath.Join(out, "tone?.ogg"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there is no recording: %v", err)
	}
	raw := decode(t, files[len(files)-1], "-f", "s16le", "-ac", "1", "-ar", "48000")
	if len(raw) < 7*48000*2 {
		t.Fatalf("it is only %d ms long", len(raw)/96)
	}
	hz, gap := listen(raw[48000:]) // after half a second, in which the encoder finds its level
	t.Logf("recording %d: %.2f Hz, longest gap %d ms", len(files), hz, gap)
	if math.Abs(hz-440) > 2 {
		t.Errorf("%.2f Hz, want 440", hz)
	}
	if gap > 60 {
		t.Errorf("the longest gap is %d ms, want none over 60; an emulated machine that gets no time loses audio that no program "+
			"could have saved: run it again on a quiet host (load now: %s)", gap, load(t))
	}
}

// labPlayed listens to what was recorded from the card, in parts of 100 ms: in those without a
// silence, of which an emulated machine that gets no time has few, the caller's tone is heard.
func labPlayed(t *testing.T, out string) {
	raw := decode(t, filepath.Join(out, "played.wav"), "-f", "s16le", "-ac", "1", "-ar", "48000")
	const part = 2 * 48000 / 10
	right, other := 0, 0
	for ; len(raw) >= part; raw = raw[part:] {
		hz, gap := listen(raw[:part])
		switch {
		case gap > 0:
		case math.Abs(hz-500) <= 20: // a crossing more or less is 10
			right++
		default:
			other++
		}
	}
	t.Logf("%d ms of 500 Hz and %d ms of something else are played", 100*right, 100*other)
	if right < 5 || other > right/4 {
		t.Errorf("%d ms of 500 Hz are played, and %d ms of something else; run it again on a quiet host (load now: %s)", 100*right, 100*other, load(t))
	}
}

// load is how many want to run on this host, over the last 1, 5 and 15 minutes.
func load(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// listen measures samples of 48 kHz: the frequency by how often they cross zero, and the longest
// silence in ms.
func listen(raw []byte) (hz float64, gap int) {
	const window = 480
	crossings, quiet := 0, 0
	before := int16(0)
	loudest := int16(0)
	samples := len(raw) / 2
	for i := range samples {
		s := int16(binary.LittleEndian.Uint16(raw[2*i:]))
		if before < 0 && s >= 0 {
			crossings++
		}
		before, loudest = s, max(loudest, s)
		if i%window == window-1 {
			if quiet += 10; loudest > 300 {
				quiet = 0
			}
			gap, loudest = max(gap, quiet), 0
		}
	}
	return float64(crossings) * 48000 / float64(samples), gap
}

func decode(t *testing.T, file string, args ...string) []byte {
	t.Helper()
	c := exec.Command("ffmpeg", append(append([]string{"-v", "error", "-i", file, "-fps_mode", "passthrough"}, args...), "-")...)
	if strings.HasSuffix(file, ".ogg") {
		c = exec.Command("ffmpeg", append(append([]string{"-v", "error", "-i", file}, args...), "-")...)
	}
	c.Stderr = os.Stderr
	raw, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v", filepath.Base(file), err)
	}
	return raw
}
