package source

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// ffmpeg runs ffmpeg, which the tests need: without it they fail.
func ffmpeg(t testing.TB, arguments ...string) []byte {
	t.Helper()
	var out, talk bytes.Buffer
	command := exec.Command("ffmpeg", append([]string{"-hide_banner", "-nostdin", "-v", "error", "-y", "-threads", "1"}, arguments...)...)
	command.Stdout, command.Stderr = &out, &talk
	if err := command.Run(); err != nil {
		t.Fatalf("ffmpeg %q: %v\n%s", arguments, err, &talk)
	}
	if talk.Len() > 0 {
		t.Errorf("ffmpeg %q complains:\n%s", arguments, &talk)
	}
	return out.Bytes()
}

// clips are the files that clip has made, for all tests.
var clips struct {
	mu     sync.Mutex // guards made, and the making
	folder string
	made   map[string]string
}

// clip makes a file of two seconds of a moving picture or a tone of 440 Hz, with the options of ffmpeg for the codec. Tests
// must not change it: the same file serves all that want the same.
func clip(t testing.TB, name string, options ...string) string {
	t.Helper()
	clips.mu.Lock()
	defer clips.mu.Unlock()
	key := strings.Join(append(options, filepath.Ext(name)), " ")
	if path := clips.made[key]; path != "" {
		return path
	}
	path := filepath.Join(clips.folder, fmt.Sprintf("%d-%s", len(clips.made), name))
	input := []string{"-f", "lavfi", "-i", "testsrc=size=160x120:rate=25:duration=2", "-pix_fmt", "yuv420p"}
	if e := filepath.Ext(name); e == ".ogg" || e == ".wav" {
		input = []string{"-f", "lavfi", "-i", "sine=frequency=440:duration=2:sample_rate=48000"}
	}
	ffmpeg(t, append(append(input, options...), path)...)
	if clips.made == nil {
		clips.made = make(map[string]string)
	}
	clips.made[key] = path
	return path
}

// probed is what ffprobe says of a file.
type probed struct {
	Streams []struct {
		Kind    string `json:"codec_type"`
		Codec   string `json:"codec_name"`
		Width   int    `json:"width"`
		Height  int    `json:"height"`
		Packets string `json:"nb_read_packets"`
		Frames  string `json:"nb_read_frames"`
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

func probe(t testing.TB, path string) probed {
	t.Helper()
	var talk bytes.Buffer
	command := exec.Command("ffprobe", "-v", "error", "-count_frames", "-count_packets", "-show_packets",
		"-show_streams", "-show_format", "-of", "json", path)
	command.Stderr = &talk
	out, err := command.Output()
	if err != nil {
		t.Fatalf("ffprobe %s: %v\n%s", path, err, &talk)
	}
	if talk.Len() > 0 {
		t.Errorf("ffprobe complains about %s:\n%s", path, &talk)
	}
	var p probed
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func number(t testing.TB, s string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatalf("%q is no number", s)
	}
	return n
}

// ffmpegTolerant runs ffmpeg on a broken file, about which it may complain.
func ffmpegTolerant(t testing.TB, arguments ...string) []byte {
	t.Helper()
	out, err := exec.Command("ffmpeg", append([]string{"-hide_banner", "-nostdin", "-v", "fatal"}, arguments...)...).Output()
	if err != nil {
		t.Fatalf("ffmpeg %q: %v", arguments, err)
	}
	return out
}

// pictures decodes the video of a file.
func pictures(t testing.TB, path string, width, height int) []*image.Gray {
	t.Helper()
	raw := ffmpeg(t, "-i", path, "-map", "0:v", "-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "rawvideo", "-pix_fmt", "gray", "-")
	var all []*image.Gray
	for size := width * height; len(raw) >= size; raw = raw[size:] {
		all = append(all, grayOf(raw[:size], width, height))
	}
	if len(raw) != 0 {
		t.Errorf("%d bytes are left over of %s", len(raw), path)
	}
	return all
}

func grayOf(pixels []byte, width, height int) *image.Gray {
	return &image.Gray{Pix: pixels, Stride: width, Rect: image.Rect(0, 0, width, height)}
}
