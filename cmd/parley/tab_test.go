package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/cmd/parley/internal/exit"
	"parley/signal/web/webtest"
)

// These tests run the binary that a user builds, beside real browsers.

// built is the path of that binary, which it builds on first use.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "parley")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "parley")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// terminal runs the binary in the background, in a folder of the test.
func terminal(t *testing.T, args ...string) *process {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return launch(t, exec.Command(path, args...), args)
}

// launch runs a command in the background, in a folder of the test.
func launch(t *testing.T, cmd *exec.Cmd, args []string) *process {
	t.Helper()
	cmd.Dir = t.TempDir()
	var in io.WriteCloser
	var err error
	if slices.Contains(args, "--input") {
		if in, err = cmd.StdinPipe(); err != nil {
			t.Fatal(err)
		}
	}
	p, err := startProcess(cmd)
	if err != nil {
		t.Fatal(err)
	}
	p.in = in
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-p.exited
		if t.Failed() {
			t.Logf("parley %s\n%s%s", strings.Join(args, " "), p.out, p.err)
		}
	})
	return p
}

func (p *process) says(t *testing.T, pattern string) {
	t.Helper()
	if err := p.until(pattern); err != nil {
		t.Fatal(err)
	}
}

func (p *process) ends(t *testing.T, code int) {
	t.Helper()
	got, err := p.wait()
	if err != nil {
		t.Fatal(err)
	}
	if got != code {
		t.Fatalf("exit code %d, want %d; it said\n%s%s", got, code, p.out, p.err)
	}
}

// serving runs `parley serve` and returns the address of its page and of its
// signaling.
func serving(t *testing.T, flags ...string) (page, server string) {
	t.Helper()
	p := terminal(t, append([]string{"serve", "--listen", "127.0.0.1:0", "--output", "ndjson"}, flags...)...)
	p.says(t, `"event":"listening"`)
	events, err := readEvents(p.out.String())
	if err != nil {
		t.Fatal(err)
	}
	page = strings.TrimSuffix(fmt.Sprint(events[0]["url"]), "/")
	return page, "ws" + strings.TrimPrefix(page, "http")
}

// inBrowsers runs a test in both browsers.
func inBrowsers(t *testing.T, test func(t *testing.T, b *webtest.Browser)) {
	t.Run("chromium", func(t *testing.T) { test(t, browsers().Chromium(t, nil)) })
	t.Run("firefox", func(t *testing.T) { test(t, browsers().Firefox(t, nil)) })
}

// tabSize is the --expect for the fake camera of a browser, which sends it
// smaller while the machine is busy.
const tabSize = "video.size~^(1280x720|960x540|640x360|480x270|320x180)$"

// microphone is the --expect for the fake microphone of a browser.
func microphone(b *webtest.Browser) string {
	if b.Name() == "firefox" {
		return "audio.tone=440"
	}
	return "audio.tone=400"
}

func idle(tab *webtest.Tab) {
	tab.Wait(`document.querySelector('#callPage').dataset.phase === 'idle' && !document.querySelector('#callPage').hidden`)
}

func talking(tab *webtest.Tab) {
	tab.Wait(`document.querySelector('#callPage').dataset.phase === 'talking'`)
}

func chatHas(tab *webtest.Tab, text string) {
	tab.Wait(`document.querySelector('#chatarea').innerText.includes('` + text + `')`)
}

// seesAndHears checks what the terminal's test sources are in the tab.
func seesAndHears(t *testing.T, tab *webtest.Tab, hz float64) {
	t.Helper()
	if v := tab.WaitFrames(5); v.Width != 320 || v.Height != 240 {
		t.Errorf("the tab shows %dx%d, want 320x240", v.Width, v.Height)
	}
	tab.WaitTone(hz)
}

func TestTabCallsTerminal(t *testing.T) {
	inBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		page, server := serving(t)
		bob := terminal(t, "answer", "--server", server, "--as", "bob", "--once",
			"--video", "test", "--audio", "tone:600", "--say", "hello tab",
			"--expect", "text=hello terminal", "--expect", tabSize, "--expect", "video.frames>=20",
			"--expect", "video.codec=VP8", "--expect", microphone(b), "--linger", "2m")
		bob.says(t, "waiting for calls")
		tab := b.Open(page + "/?as=tab&call=bob&say=hello+terminal")
		talking(tab)
		chatHas(tab, "hello tab")
		seesAndHears(t, tab, 600)
		for _, check := range []string{"text=", "video.size", "video.frames", "video.codec", "audio.tone"} {
			bob.says(t, "held: "+check)
		}
		tab.Click("#hangUpBtn")
		bob.says(t, "tab hung up")
		bob.ends(t, 0)
		tab.NoErrors()
		tab.Close()
	})
}

// A terminal receives the screen of a tab in place of its camera, in the same call, and the camera again.
func TestTabSharesScreen(t *testing.T) {
	b := browsers().Chromium(t, nil)
	page, server := serving(t)
	bob := terminal(t, "answer", "--server", server, "--as", "bob", "--once", "--video", "test", "--audio", "tone:600",
		"--expect", "video.size~^800x", "--expect", microphone(b), "--linger", "2m")
	bob.says(t, "waiting for calls")
	tab := b.Open(page + "/?as=tab&call=bob")
	talking(tab)
	tab.WaitFrames(3)
	tab.Click("#shareBtn")
	bob.says(t, "held: video.size")
	bob.says(t, "held: audio.tone")
	tab.Click("#stopShareBtn")
	tab.WaitFrames(3)
	tab.Click("#hangUpBtn")
	bob.ends(t, 0)
	tab.NoErrors()
	tab.Close()
}

// The bars of a tab show that the network between it and a terminal is poor.
func TestTabShowsPoorNetwork(t *testing.T) {
	inBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		page, server := serving(t)
		bob := terminal(t, "answer", "--server", server, "--as", "bob", "--once", "--video", "test", "--audio", "tone:600",
			"--impair", "delay=300ms loss=10%", "--linger", "2m")
		bob.says(t, "waiting for calls")
		tab := b.Open(page + "/?as=tab&call=bob")
		talking(tab)
		tab.Wait(`['1', '2'].includes(document.querySelector('#qualityBtn').dataset.bars)`)
		tab.Wait(`/: (bad|poor)$/.test(document.querySelector('#qualityBtn').getAttribute('aria-label'))`)
		tab.Click("#hangUpBtn")
		bob.ends(t, 0)
		tab.NoErrors()
		tab.Close()
	})
}

func TestTerminalCallsTab(t *testing.T) {
	inBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		page, server := serving(t)
		tab := b.Open(page + "/?as=tab&answer=1")
		idle(tab)
		alice := terminal(t, "call", "tab", "--server", server, "--as", "alice", "--video", "test", "--audio", "tone:700",
			"--say", "hello tab", "--expect", "text=hello terminal", "--expect", "video.frames>=20",
			"--expect", tabSize, "--expect", microphone(b), "--timeout", "60s", "--linger", "2m")
		talking(tab)
		chatHas(tab, "hello tab")
		tab.Type("#msgInput", "hello terminal")
		tab.Click("#sendMsgBtn")
		seesAndHears(t, tab, 700)
		for _, check := range []string{"text=", "video.frames", "video.size", "audio.tone"} {
			alice.says(t, "held: "+check)
		}
		code := regexp.MustCompile(`verification code ([0-9 ]+)`).FindStringSubmatch(alice.err.String())
		chatHas(tab, "Verification code "+code[1])
		interruptProcess(t, alice)
		idle(tab)
		chatHas(tab, "alice hung up")
		tab.NoErrors()
		tab.Close()
	})
}

func interruptProcess(t *testing.T, p *process) {
	t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	p.ends(t, int(exit.Interrupted))
}

// A tab that is loaded anew calls again, a tab that is gone leaves its name.
func TestTabReloadsAndComesBack(t *testing.T) {
	inBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		page, server := serving(t)
		echo := terminal(t, "echo", "--server", server)
		echo.says(t, "waiting for calls")
		tab := b.Open(page + "/?as=tab&call=echo&say=first")
		chatHas(tab, "first")
		tab.WaitFrames(5)
		tab.Reload()
		tab.WaitFrames(5)
		tab.Click("#hangUpBtn")
		idle(tab)
		tab.Type("#callToUsernameInput", "echo")
		tab.Click("#callBtn")
		talking(tab)
		tab.WaitFrames(5)
		tab.Close()
		echo.says(t, `(?s)(tab hung up.*){3}`)
		interruptProcess(t, answersOnceFree(t, server, "tab"))
		interruptProcess(t, echo)
	})
}

// answersOnceFree answers as name as soon as its holder has gone: a page
// hangs up first, and its connection ends a little later.
func answersOnceFree(t *testing.T, server, name string) *process {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		p := terminal(t, "answer", "--server", server, "--as", name, "--once")
		if p.until("waiting for calls") == nil {
			return p
		}
		if code, _ := p.wait(); code != int(exit.Login) || time.Now().After(deadline) {
			t.Fatalf("%s cannot sign in: exit code %d", name, code)
		}
	}
}

// What a tab sends is recorded as it came, and plays elsewhere. The codec is one that the file holds.
func TestRecordingOfATab(t *testing.T) {
	inBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		page, server := serving(t)
		codecs := map[string]string{"webm": "vp8", "mp4": "h264"}
		if b.Name() == "firefox" {
			codecs["mp4"] = "vp9" // one that was never online has no H.264
		}
		bobs := map[string]*process{}
		for extension := range codecs {
			bobs[extension] = terminal(t, "answer", "--server", server, "--as", extension, "--once", "--record", "%p."+extension,
				"--duration", "6s", "--output", "ndjson", "--stats-interval", "500ms")
			bobs[extension].says(t, `"event":"login"`)
		}
		for extension := range codecs {
			talking(b.Open(page + "/?as=tab-" + extension + "&call=" + extension))
		}
		for extension, codec := range codecs {
			bobs[extension].ends(t, 0)
			checkRecording(t, filepath.Join(bobs[extension].cmd.Dir, "tab-"+extension+"."+extension), codec, bobs[extension].out.String())
		}
	})
}

// A recording that holds G.711 only makes a tab send it.
func TestG711OfATab(t *testing.T) {
	inBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		page, server := serving(t)
		bob := terminal(t, "answer", "--server", server, "--as", "bob", "--once", "--record", "%p.wav", "--duration", "4s", "--output", "ndjson")
		bob.says(t, `"event":"login"`)
		talking(b.Open(page + "/?as=tab&call=bob"))
		bob.ends(t, 0)
		audio, err := ffprobeStream(filepath.Join(bob.cmd.Dir, "tab.wav"), "a")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(bob.out.String(), `"kind":"audio","codec":"PCMU"`) || audio.duration < 3 {
			t.Errorf("the sound lasts %.2f s in the file; received was\n%s", audio.duration, bob.out.String())
		}
	})
}

// checkRecording compares a file with what the terminal says it received.
func checkRecording(t *testing.T, file, codec, ndjson string) {
	t.Helper()
	got, err := ffprobe(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"codec_name=" + codec + "\n", "codec_name=opus\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	// A tab may change the size while the machine is busy.
	size := regexp.MustCompile(`width=(\d+)\nheight=(\d+)`).FindStringSubmatch(got)
	if size == nil || !strings.Contains(ndjson, fmt.Sprintf(`"size":"%sx%s"`, size[1], size[2])) {
		t.Errorf("no such size came: %v", size)
	}
	video, err := ffprobeStream(file, "v")
	if err != nil {
		t.Fatal(err)
	}
	audio, err := ffprobeStream(file, "a")
	if err != nil {
		t.Fatal(err)
	}
	frames := receivedFrames(t, ndjson)
	least := frames["video"] - 2
	if !strings.Contains(ndjson, `"kind":"video","first":true,"size"`) {
		least = frames["video"] / 2 // what came first was no key frame, and is left out up to one
	}
	if video.frames > frames["video"] || video.frames < least {
		t.Errorf("%d frames are in the file, %d were received", video.frames, frames["video"])
	}
	if seconds := float64(frames["audio"]) * 0.02; audio.duration < seconds*0.95 || audio.duration > seconds*1.05+0.3 {
		t.Errorf("the sound lasts %.2f s in the file, %.2f s were received", audio.duration, seconds)
	}
	if diff := video.end - audio.end; diff < -1 || diff > 1 { // a tab on a busy machine begins later with one than with the other
		t.Errorf("the picture ends at %.2f s and the sound at %.2f s", video.end, audio.end)
	}
}

// receivedFrames are the frames by kind in the last stats event.
func receivedFrames(t *testing.T, ndjson string) map[string]int {
	t.Helper()
	events, err := readEvents(ndjson)
	if err != nil {
		t.Fatal(err)
	}
	frames := map[string]int{}
	for _, e := range events {
		if e["event"] != "stats" {
			continue
		}
		for _, track := range e["tracks"].([]any) {
			if track := track.(map[string]any); track["direction"] == "in" {
				frames[track["kind"].(string)] = int(track["frames"].(float64))
			}
		}
	}
	return frames
}

// originals serves pages that behave as the original ones, at an address of
// their own; ?server= says where their signaling is.
func originals(t *testing.T) string {
	t.Helper()
	pages := httptest.NewServer(http.FileServer(http.Dir(filepath.Join("..", "..", "signal", "web", "testdata"))))
	t.Cleanup(pages.Close)
	return pages.URL
}

func TestOriginalTextPage(t *testing.T) {
	inBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		_, server := serving(t)
		url := originals(t) + "/text.html?as=page&server=" + server

		// The page calls.
		bob := terminal(t, "answer", "--server", server, "--as", "bob", "--once", "--say", "hello page", "--expect", "text=hello terminal", "--linger", "2m")
		bob.says(t, "waiting for calls")
		tab := b.Open(url)
		tab.Wait(`document.title === 'ready'`)
		if err := tab.Eval(`call('bob')`, nil); err != nil {
			t.Fatal(err)
		}
		textBothWays(t, tab, bob)
		tab.Close()
		bob.ends(t, 0)

		// The terminal calls.
		tab = b.Open(url)
		tab.Wait(`document.title === 'ready'`)
		alice := terminal(t, "call", "page", "--server", server, "--say", "hello page", "--expect", "text=hello terminal", "--linger", "2m")
		textBothWays(t, tab, alice)
		interruptProcess(t, alice)
		tab.Close()
	})
}

func textBothWays(t *testing.T, tab *webtest.Tab, p *process) {
	t.Helper()
	tab.Wait(`heard.innerText === 'hello page'`)
	if err := tab.Eval(`say('hello terminal')`, nil); err != nil {
		t.Fatal(err)
	}
	p.says(t, "held: text=hello terminal")
}

func TestOriginalVideoPage(t *testing.T) {
	inBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		_, server := serving(t)
		url := originals(t) + "/video.html?as=page&server=" + server
		tab := b.Open(url)
		tab.Wait(`document.title === 'ready'`)
		alice := terminal(t, "call", "page", "--server", server, "--video", "test", "--audio", "tone:500",
			"--expect", "video.frames>=20", "--expect", microphone(b), "--linger", "2m")
		seesAndHears(t, tab, 500)
		alice.says(t, "held: video.frames")
		alice.says(t, "held: audio.tone")
		if err := tab.Eval(`hangUp()`, nil); err != nil {
			t.Fatal(err)
		}
		alice.ends(t, 0)
		tab.Close()
	})
}

// The hello-world page, ours and the dialect's.
func TestHelloPage(t *testing.T) {
	inBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		page, server := serving(t)
		saruman := terminal(t, "answer", "--dialect", "relay", "--server", server, "--once", "--say", "hello world!", "--expect", "text=hello world!")
		saruman.says(t, "waiting for calls")
		tab := b.Open(page + "/hello?as=Gandalf&call=1")
		saruman.ends(t, 0)
		tab.Wait(`document.body.innerText.split('hello world!').length > 2`)
		tab.NoErrors()
		tab.Close()

		tab = b.Open(page + "/hello?as=Saruman")
		tab.Wait(`document.readyState === 'complete'`)
		gandalf := terminal(t, "call", "--dialect", "relay", "--server", server, "--say", "hello world!", "--expect", "text=hello world!")
		gandalf.ends(t, 0)
		tab.Close()
	})
}

// A page holds the call and resumes it, which are later offers: the picture
// stops and goes on at both ends, in the same call.
func TestHoldAndResume(t *testing.T) {
	inBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		_, server := serving(t)
		tab := b.Open(originals(t) + "/video.html?as=page&server=" + server)
		tab.Wait(`document.title === 'ready'`)
		alice := terminal(t, "call", "page", "--server", server, "--video", "test", "--linger", "5m",
			"--expect", "video.frames>=10", "--stats-interval", "200ms", "--output", "ndjson")
		tab.WaitFrames(5)
		alice.says(t, `"check":"video.frames>=10","held":true`)
		for range 3 {
			offerWith(t, tab, "inactive")
			tab.Wait(`(async () => { const n = ` + decoded + `; await new Promise(r => setTimeout(r, 500)); return n === ` + decoded + `; })()`)
			offerWith(t, tab, "sendrecv")
			tab.WaitFrames(5)
		}
		if err := tab.Eval(`hangUp()`, nil); err != nil {
			t.Fatal(err)
		}
		alice.ends(t, 0)
		if strings.Count(alice.out.String(), `"event":"call"`) != 1 || strings.Contains(alice.out.String(), `"failed"`) {
			t.Errorf("that was more than one call:\n%s", alice.out)
		}
		tab.Close()
	})
}

// decoded is the number of frames that the page has decoded.
const decoded = `[...(await pc.getStats()).values()].find(s => s.type === 'inbound-rtp' && s.kind === 'video').framesDecoded`

// offerWith sends a new offer of the page, with this direction for all its
// media, and waits for the answer.
func offerWith(t *testing.T, tab *webtest.Tab, direction string) {
	t.Helper()
	err := tab.Eval(`(async () => {
		pc.getTransceivers().forEach(t => t.direction = '`+direction+`');
		await pc.setLocalDescription();
		send({type: 'offer', offer: pc.localDescription});
		while (pc.signalingState !== 'stable') await new Promise(r => pc.addEventListener('signalingstatechange', r, {once: true}));
		const video = pc.getTransceivers().find(t => t.receiver.track.kind === 'video');
		if (video.currentDirection !== '`+direction+`') throw new Error('answered ' + video.currentDirection);
	})()`, nil)
	if err != nil {
		t.Fatal(err)
	}
}
