// Package mediatest makes media files for tests with ffmpeg and inspects them with ffprobe.
package mediatest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// clips caches the files that Make made for the tests of one package.
var clips struct {
	mu     sync.Mutex // guards folder and made, and is held while ffmpeg runs
	folder string
	made   map[string]string
}

// Main runs the tests of a package, checks that they left no goroutine, and removes the files that
// Make made. TestMain calls it.
func Main(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if clips.folder != "" {
			_ = os.RemoveAll(clips.folder)
		}
		os.Exit(code)
	}))
}

// Clip returns the path of a file of two seconds: testsrc of 160x120 at 25 frames/s, or a tone of
// 440 Hz if name ends with .ogg or .wav. options are the output options of ffmpeg.
func Clip(t testing.TB, name string, options ...string) string {
	t.Helper()
	input := []string{"-f", "lavfi", "-i", "testsrc=size=160x120:rate=25:duration=2", "-pix_fmt", "yuv420p"}
	if e := filepath.Ext(name); e == ".ogg" || e == ".wav" {
		input = []string{"-f", "lavfi", "-i", "sine=frequency=440:duration=2:sample_rate=48000"}
	}
	return Make(t, name, append(input, options...)...)
}

// Make returns the path of a file that ffmpeg makes with these arguments. Tests must not change the
// file: all calls with the same arguments return the same one.
func Make(t testing.TB, name string, arguments ...string) string {
	t.Helper()
	clips.mu.Lock()
	defer clips.mu.Unlock()
	key := strings.Join(arguments, " ") + filepath.Ext(name)
	if path := clips.made[key]; path != "" {
		return path
	}
	if clips.made == nil {
		folder, err := os.MkdirTemp("", "mediatest")
		if err != nil {
			t.Fatal(err)
		}
		clips.folder, clips.made = folder, make(map[string]string)
	}
	path := filepath.Join(clips.folder, fmt.Sprintf("%d-%s", len(clips.made), name))
	FFmpeg(t, slices.Concat(arguments, []string{path})...)
	clips.made[key] = path
	return path
}

// Remux copies the tracks of a file into a new one with this name, without encoding them again.
// options are output options of ffmpeg.
func Remux(t testing.TB, from, name string, options ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	input := []string{"-i", from}
	if strings.HasSuffix(from, ".h264") {
		input = []string{"-r", "25", "-i", from} // a byte stream has no timestamps
	}
	FFmpeg(t, append(append(append(input, "-c", "copy"), options...), path)...)
	return path
}

// FFmpeg runs ffmpeg and returns its standard output. The test fails if ffmpeg fails or reports an
// error.
func FFmpeg(t testing.TB, arguments ...string) []byte {
	t.Helper()
	var out, stderr bytes.Buffer
	command := exec.Command("ffmpeg", append([]string{"-hide_banner", "-nostdin", "-v", "error", "-y", "-threads", "1"}, arguments...)...)
	command.Stdout, command.Stderr = &out, &stderr
	if err := command.Run(); err != nil {
		t.Fatalf("ffmpeg %q: %v\n%s", arguments, err, &stderr)
	}
	if stderr.Len() > 0 {
		t.Errorf("ffmpeg %q reports:\n%s", arguments, &stderr)
	}
	return out.Bytes()
}

// FFmpegTolerant is FFmpeg for a broken input: reported errors do not fail the test.
func FFmpegTolerant(t testing.TB, arguments ...string) []byte {
	t.Helper()
	out, err := exec.Command("ffmpeg", append([]string{"-hide_banner", "-nostdin", "-v", "fatal", "-y"}, arguments...)...).Output()
	if err != nil {
		t.Fatalf("ffmpeg %q: %v", arguments, err)
	}
	return out
}

// Probed is the output of ffprobe for a file.
type Probed struct {
	Streams []struct {
		Kind     string `json:"codec_type"`
		Codec    string `json:"codec_name"`
		Width    int    `json:"width"`
		Height   int    `json:"height"`
		Channels int    `json:"channels"`
		Packets  string `json:"nb_read_packets"`
		Frames   string `json:"nb_read_frames"`
		SideData []struct {
			Rotation int `json:"rotation"`
		} `json:"side_data_list"`
	} `json:"streams"`
	Packets []struct {
		Stream int    `json:"stream_index"`
		Time   string `json:"pts_time"`
		Flags  string `json:"flags"`
	} `json:"packets"`
	Format struct {
		Duration string `json:"duration"`
	} `json:"format"`
}

// Probe runs ffprobe on a file. The test fails if ffprobe fails or reports an error.
func Probe(t testing.TB, path string) Probed {
	t.Helper()
	var stderr bytes.Buffer
	command := exec.Command("ffprobe", "-v", "error", "-count_frames", "-count_packets", "-show_packets",
		"-show_streams", "-show_format", "-of", "json", path)
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("ffprobe %s: %v\n%s", path, err, &stderr)
	}
	if stderr.Len() > 0 {
		t.Errorf("ffprobe %s reports:\n%s", path, &stderr)
	}
	var p Probed
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// Number parses a number in the output of ffprobe.
func Number(t testing.TB, s string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatalf("%q is no number", s)
	}
	return n
}

// WriteFile writes a file with this name into a folder of the test and returns its path.
func WriteFile(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Speech returns n samples at 48 kHz that resemble speech: harmonics whose pitch moves, in four
// syllables per second.
func Speech(n int) []int16 {
	pcm := make([]int16, n)
	phase := 0.0
	for i := range pcm {
		phase += 2 * math.Pi * (140 + 20*math.Sin(float64(i)/9000)) / 48000
		var v float64
		for h := 1.0; h <= 12; h++ {
			v += math.Sin(h*phase) / h
		}
		loud := math.Sin(2 * math.Pi * 2 * (float64(i) + 1000) / 48000)
		pcm[i] = int16(8000 * v * loud * loud)
	}
	return pcm
}
