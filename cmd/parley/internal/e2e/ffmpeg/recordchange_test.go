package ffmpeg

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// TestRecordingOfChanges: a call that is held and resumed, and whose video gets another source and
// another codec, is recorded whole: all parts are in the files, each decodes, and audio and video
// belong together in each.
func TestRecordingOfChanges(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"large.ivf", "vp9.ivf", "film.mkv"} {
		if err := e2etest.MakeSample(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	taken := takeChanges(t, "webm", []string{"--video", "test", "--audio", "test", "--loop"}, []otherSource{
		{filepath.Join(dir, "large.ivf"), "size", "640x480"},
		{filepath.Join(dir, "vp9.ivf"), "codec", "VP9"},
		{"test", "codec", "VP8"},
	})
	first := filepath.Join(taken, "alice.webm")
	decodesTo(t, first, "320 640")
	decodesTo(t, filepath.Join(taken, "alice-2.webm"), "320")
	decodesTo(t, filepath.Join(taken, "alice-3.webm"), "320")
	inStep(t, first, "video.frames.lost>=5") // the time of the hold
	inStep(t, filepath.Join(taken, "alice-3.webm"))

	film := filepath.Join(dir, "film.mkv") // H.264
	taken = takeChanges(t, "mp4", []string{"--video", film, "--audio", film, "--loop"}, nil)
	file := filepath.Join(taken, "alice.mp4")
	decodesTo(t, file, "320")
	ends := map[string]float64{}
	for _, kind := range []string{"v", "a"} {
		s, err := e2etest.FFprobeStream(file, kind)
		if err != nil {
			t.Fatal(err)
		}
		if ends[kind] = s.End; s.Pause < 0.8 {
			t.Errorf("%s in %s never pauses for longer than %.2f s; it was on hold for one", kind, file, s.Pause)
		}
	}
	if apart := ends["v"] - ends["a"]; apart < -0.9 || apart > 0.9 {
		t.Errorf("the video ends at %.2f s and the audio at %.2f s", ends["v"], ends["a"])
	}
}

// otherSource is another source of the video, and what of its track shows that it comes.
type otherSource struct{ source, key, value string }

// takeChanges records a call that is held and resumed, and then changed. The recordings are in the
// folder.
func takeChanges(t *testing.T, extension string, sources []string, changes []otherSource) (folder string) {
	t.Helper()
	_, server := e2etest.Serve(t)
	bob := e2etest.Start(t, "answer", "--as", "bob", "--server", server, "--once", "--record", "%p."+extension, "--output", "ndjson", "--stats-interval", "200ms")
	bob.Says(t, `"event":"login"`)
	alice, write := e2etest.StartCommanded(t, append([]string{"call", "bob", "--as", "alice", "--server", server}, sources...)...)
	const some = 25 // frames: in 1.7 s the first of the sender's reports come, which show what belongs together
	bob.ReceivesFrames(t, "size", "320x240", some)
	write(`"command":"hold"`)
	// After this nothing has come for a second.
	bob.Says(t, `(?s)"kind":"video","muted":true.*"direction":"in","kind":"video",[^}]*"bitrate":0[,}]`)
	write(`"command":"resume"`)
	bob.ReceivesFrames(t, "size", "320x240", some)
	for _, c := range changes {
		write(`"command":"source","kind":"video","source":"` + c.source + `"`)
		bob.ReceivesFrames(t, c.key, c.value, some)
	}
	write(`"command":"hangup"`)
	alice.Ends(t, 0)
	bob.Ends(t, 0)
	return bob.Cmd.Dir
}

// decodesTo decodes all video and audio of a file, without a complaint; the frames are so wide, one
// after the other.
func decodesTo(t *testing.T, file, want string) {
	t.Helper()
	var talk bytes.Buffer
	probe := exec.Command("ffprobe", "-v", "error", "-show_entries", "frame=width", "-of", "csv=p=0", file)
	probe.Stderr = &talk
	out, err := probe.Output()
	if err != nil || talk.Len() > 0 {
		t.Errorf("ffprobe %s: %v\n%s", file, err, &talk)
	}
	widths := slices.Compact(strings.Fields(strings.ReplaceAll(string(out), ",", "")))
	if got := strings.Join(widths, " "); got != want {
		t.Errorf("the frames of %s are %s wide, one after the other, want %s", file, got, want)
	}
}

// inStep reports whether the test video and the test audio in a file belong together, and that
// other requirements hold.
func inStep(t *testing.T, file string, also ...string) {
	t.Helper()
	args := []string{"verify", file, "--video-size", "320x240@15", "-q"}
	for _, require := range append(also, "av-sync>=-200", "av-sync<=200", "audio.markers>=5", "video.frames.identified>=20") {
		args = append(args, "--require", require)
	}
	e2etest.Start(t, args...).Ends(t, 0)
}
