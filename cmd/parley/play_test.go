package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// films makes a sample of each codec, and returns their names.
func films(t *testing.T) (dir string, names []string) {
	t.Helper()
	dir, names = t.TempDir(), []string{"film.webm", "film.mkv", "vp9.ivf", "av1.ivf"}
	for _, name := range names {
		if err := makeSample(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir, names
}

// Recordings of each codec play in a real browser, which knows how long they
// are and finds any place in them.
func TestRecordingsPlay(t *testing.T) {
	_, server := serving(t)
	films, names := films(t)
	recordings := t.TempDir()
	for _, extension := range []string{"webm", "mp4"} {
		bob := terminal(t, "answer", "--server", server, "--as", extension, "--record", filepath.Join(recordings, "%p."+extension))
		bob.says(t, "waiting for calls")
		var calls []*process
		for _, name := range names {
			if name == map[string]string{"webm": "film.mkv", "mp4": "film.webm"}[extension] {
				continue // H.264 is not for .webm, and VP8 not for .mp4
			}
			film := filepath.Join(films, name)
			args := []string{"call", extension, "--server", server, "--as", strings.Replace(name, ".", "", 1), "--video", film, "--duration", "4s"}
			if strings.HasPrefix(name, "film") {
				args = append(args, "--audio", film)
			}
			calls = append(calls, terminal(t, args...))
		}
		for _, c := range calls {
			c.ends(t, 0)
		}
		interruptProcess(t, bob)
	}
	pages := httptest.NewServer(http.FileServer(http.Dir(recordings)))
	t.Cleanup(pages.Close)
	b := browsers().Chromium(t, nil)
	for _, file := range []string{"filmwebm.webm", "vp9ivf.webm", "filmmkv.mp4", "vp9ivf.mp4", "av1ivf.mp4"} {
		tab := b.Open(pages.URL + "/")
		var seen played
		if err := tab.Eval(playThrough(pages.URL+"/"+file), &seen); err != nil {
			t.Fatal(err)
		}
		if seen.Width != 320 || seen.Height != 240 || seen.Frames < 20 || seen.Duration < 2.5 || seen.Duration > 3.5 || seen.Seeked < 0.9 || seen.Error != "" {
			t.Errorf("%s plays as %+v", file, seen)
		}
		tab.Close()
	}
}

// A recording of a picture that becomes larger, and smaller again, plays in a real browser, all of it.
func TestRecordingOfSizesPlays(t *testing.T) {
	_, server := serving(t)
	recordings := t.TempDir()
	for _, name := range []string{"film.mkv", "large.mkv"} {
		if err := makeSample(filepath.Join(recordings, name)); err != nil {
			t.Fatal(err)
		}
	}
	film, large := filepath.Join(recordings, "film.mkv"), filepath.Join(recordings, "large.mkv")
	bob := terminal(t, "answer", "--server", server, "--as", "bob", "--once", "--record", filepath.Join(recordings, "sizes.mp4"),
		"--output", "ndjson", "--stats-interval", "250ms")
	bob.says(t, `"event":"login"`)
	alice, tell := commanded(t, "call", "bob", "--server", server, "--video", film, "--loop")
	second := `(.*"size":"%s"){4}` // of stats
	for i, size := range []string{"320x240", "640x480", "320x240"} {
		if i > 0 {
			tell(fmt.Sprintf(`"command":"source","kind":"video","source":%q`, []string{film, large}[i%2]))
		}
		bob.says(t, `(?s)`+strings.Repeat(fmt.Sprintf(second, "640x480"), i/2)+fmt.Sprintf(second, size))
	}
	tell(`"command":"hangup"`)
	alice.ends(t, 0)
	bob.ends(t, 0)
	pages := httptest.NewServer(http.FileServer(http.Dir(recordings)))
	t.Cleanup(pages.Close)
	tab := browsers().Chromium(t, nil).Open(pages.URL + "/")
	var seen played
	if err := tab.Eval(playThrough(pages.URL+"/sizes.mp4"), &seen); err != nil {
		t.Fatal(err)
	}
	tab.Close()
	// Before the first picture it may be as large as any will be, and seeking may end at any size.
	if got := strings.Join(seen.Sizes, " "); !strings.Contains(got, "320x240 640x480 320x240") || seen.Frames < 15 || seen.Error != "" {
		t.Errorf("it plays as %+v", seen)
	}
}

// played is what a browser says of a file.
type played struct {
	Width, Height, Frames int
	Duration, Seeked      float64
	Sizes                 []string // one after the other
	Error                 string
}

// playThrough plays a file to its end and then seeks back to its second second.
func playThrough(url string) string {
	return fmt.Sprintf(`(async () => {
		const v = document.createElement('video');
		v.muted = true;
		const Sizes = [];
		v.addEventListener('resize', () => Sizes.push(v.videoWidth + 'x' + v.videoHeight));
		document.body.append(v);
		const once = name => new Promise((resolve, reject) => {
			v.addEventListener(name, resolve, {once: true});
			v.addEventListener('error', () => reject(new Error('cannot play: ' + v.error?.message)), {once: true});
		});
		try {
			const ended = once('ended');
			v.src = %q;
			await v.play();
			await ended;
			const Duration = v.duration, Frames = v.getVideoPlaybackQuality().totalVideoFrames;
			const seeked = once('seeked');
			v.currentTime = 1;
			await seeked;
			return {Width: v.videoWidth, Height: v.videoHeight, Frames, Duration, Sizes, Seeked: v.currentTime, Error: ''};
		} catch (e) {
			return {Error: String(e)};
		}
	})()`, url)
}

// Of a recording whose parley was killed, all is there but the last seconds.
func TestRecordingKilled(t *testing.T) {
	_, server := serving(t)
	films, _ := films(t)
	for extension, film := range map[string]string{"webm": "film.webm", "mp4": "film.mkv"} {
		const frames, second = 70, 10
		bob := terminal(t, "answer", "--server", server, "--as", extension, "--once", "--record", "cut."+extension,
			"--expect", fmt.Sprintf("video.frames>=%d", frames), "--linger", "10m")
		bob.says(t, "waiting for calls")
		film = filepath.Join(films, film)
		alice := terminal(t, "call", extension, "--server", server, "--video", film, "--audio", film, "--loop")
		bob.says(t, "held: video.frames")
		if err := bob.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-bob.exited
		interruptProcess(t, alice)
		for _, kind := range []string{"v", "a"} {
			s, err := ffprobeStream(filepath.Join(bob.cmd.Dir, "cut."+extension), kind)
			if err != nil {
				t.Fatal(err)
			}
			if s.duration < float64(frames)/second-4 {
				t.Errorf("of 7 s, %.1f s of %s are in the killed .%s", s.duration, kind, extension)
			}
		}
	}
}
