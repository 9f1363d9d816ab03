package browser

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/cmd/parley/internal/exit"
	"parley/signal/web/webtest"
)

// These tests run the binary that a user builds, beside real browsers.

func TestTabCallsTerminal(t *testing.T) {
	e2etest.InBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		page, server := e2etest.Serve(t)
		bob := e2etest.Start(t, "answer", "--server", server, "--as", "bob", "--once",
			"--video", "test", "--audio", "tone:600", "--say", "hello tab",
			"--expect", "text=hello terminal", "--expect", e2etest.TabSize, "--expect", "video.frames>=20",
			"--expect", "video.codec=VP8", "--expect", e2etest.Microphone(b), "--linger", "2m")
		bob.Says(t, "waiting for calls")
		tab := b.Open(page + "/?as=tab&call=bob&say=hello+terminal")
		e2etest.Talking(tab)
		e2etest.ChatHas(tab, "hello tab")
		e2etest.SeesAndHears(t, tab, 600)
		for _, check := range []string{"text=", "video.size", "video.frames", "video.codec", "audio.tone"} {
			bob.Says(t, "held: "+check)
		}
		tab.Click("#hangUpBtn")
		bob.Says(t, "tab hung up")
		bob.Ends(t, 0)
		tab.NoErrors()
		tab.Close()
	})
}

// A terminal receives the screen of a tab in place of its camera, in the same call, and the camera
// again.
func TestTabSharesScreen(t *testing.T) {
	b := e2etest.Browsers().Chromium(t, nil)
	page, server := e2etest.Serve(t)
	bob := e2etest.Start(t, "answer", "--server", server, "--as", "bob", "--once", "--video", "test", "--audio", "tone:600",
		"--expect", "video.size~^800x", "--expect", e2etest.Microphone(b), "--linger", "2m")
	bob.Says(t, "waiting for calls")
	tab := b.Open(page + "/?as=tab&call=bob")
	e2etest.Talking(tab)
	tab.WaitFrames(3)
	tab.Click("#shareBtn")
	bob.Says(t, "held: video.size")
	bob.Says(t, "held: audio.tone")
	tab.Click("#stopShareBtn")
	tab.WaitFrames(3)
	tab.Click("#hangUpBtn")
	bob.Ends(t, 0)
	tab.NoErrors()
	tab.Close()
}

// The bars of a tab show that the network between it and a terminal is poor.
func TestTabShowsPoorNetwork(t *testing.T) {
	e2etest.InBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		page, server := e2etest.Serve(t)
		bob := e2etest.Start(t, "answer", "--server", server, "--as", "bob", "--once", "--video", "test", "--audio", "tone:600",
			"--impair", "delay=300ms loss=10%", "--linger", "2m")
		bob.Says(t, "waiting for calls")
		tab := b.Open(page + "/?as=tab&call=bob")
		e2etest.Talking(tab)
		tab.Wait(`['1', '2'].includes(document.querySelector('#qualityBtn').dataset.bars)`)
		tab.Wait(`/: (bad|poor)$/.test(document.querySelector('#qualityBtn').getAttribute('aria-label'))`)
		tab.Click("#hangUpBtn")
		bob.Ends(t, 0)
		tab.NoErrors()
		tab.Close()
	})
}

func TestTerminalCallsTab(t *testing.T) {
	e2etest.InBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		page, server := e2etest.Serve(t)
		tab := b.Open(page + "/?as=tab&answer=1")
		e2etest.Idle(tab)
		alice := e2etest.Start(t, "call", "tab", "--server", server, "--as", "alice", "--video", "test", "--audio", "tone:700",
			"--say", "hello tab", "--expect", "text=hello terminal", "--expect", "video.frames>=20",
			"--expect", e2etest.TabSize, "--expect", e2etest.Microphone(b), "--timeout", "60s", "--linger", "2m")
		e2etest.Talking(tab)
		e2etest.ChatHas(tab, "hello tab")
		tab.Type("#msgInput", "hello terminal")
		tab.Click("#sendMsgBtn")
		e2etest.SeesAndHears(t, tab, 700)
		for _, check := range []string{"text=", "video.frames", "video.size", "audio.tone"} {
			alice.Says(t, "held: "+check)
		}
		code := regexp.MustCompile(`verification code ([0-9 ]+)`).FindStringSubmatch(alice.Err.String())
		e2etest.ChatHas(tab, "Verification code "+code[1])
		e2etest.Interrupt(t, alice)
		e2etest.Idle(tab)
		e2etest.ChatHas(tab, "alice hung up")
		tab.NoErrors()
		tab.Close()
	})
}

// A tab that is loaded anew calls again, a tab that is gone leaves its name.
func TestTabReloadsAndComesBack(t *testing.T) {
	e2etest.InBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		page, server := e2etest.Serve(t)
		echo := e2etest.Start(t, "echo", "--server", server)
		echo.Says(t, "waiting for calls")
		tab := b.Open(page + "/?as=tab&call=echo&say=first")
		e2etest.ChatHas(tab, "first")
		tab.WaitFrames(5)
		tab.Reload()
		tab.WaitFrames(5)
		tab.Click("#hangUpBtn")
		e2etest.Idle(tab)
		tab.Type("#callToUsernameInput", "echo")
		tab.Click("#callBtn")
		e2etest.Talking(tab)
		tab.WaitFrames(5)
		tab.Close()
		echo.Says(t, `(?s)(tab hung up.*){3}`)
		e2etest.Interrupt(t, answersOnceFree(t, server, "tab"))
		e2etest.Interrupt(t, echo)
	})
}

// answersOnceFree answers as name as soon as its holder has gone: a page
// hangs up first, and its connection ends a little later.
func answersOnceFree(t *testing.T, server, name string) *e2etest.Process {
	t.Helper()
	for deadline := time.Now().Add(e2etest.Patience); ; {
		p := e2etest.Start(t, "answer", "--server", server, "--as", name, "--once")
		if p.Until("waiting for calls") == nil {
			return p
		}
		if code, _ := p.Wait(); code != int(exit.Login) || time.Now().After(deadline) {
			t.Fatalf("%s cannot sign in: exit code %d", name, code)
		}
	}
}

// What a tab sends is recorded as it came, and plays elsewhere. The codec is one that the file
// holds.
func TestRecordingOfATab(t *testing.T) {
	e2etest.InBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		page, server := e2etest.Serve(t)
		codecs := map[string]string{"webm": "vp8", "mp4": "h264"}
		if b.Name() == "firefox" {
			codecs["mp4"] = "vp9" // one that was never online has no H.264
		}
		bobs := map[string]*e2etest.Process{}
		for extension := range codecs {
			bobs[extension] = e2etest.Start(t, "answer", "--server", server, "--as", extension, "--once", "--record", "%p."+extension,
				"--duration", "6s", "--output", "ndjson", "--stats-interval", "500ms")
			bobs[extension].Says(t, `"event":"login"`)
		}
		for extension := range codecs {
			e2etest.Talking(b.Open(page + "/?as=tab-" + extension + "&call=" + extension))
		}
		for extension, codec := range codecs {
			bobs[extension].Ends(t, 0)
			checkRecording(t, filepath.Join(bobs[extension].Cmd.Dir, "tab-"+extension+"."+extension), codec, bobs[extension].Out.String())
		}
	})
}

// A recording that holds G.711 only makes a tab send it.
func TestG711OfATab(t *testing.T) {
	e2etest.InBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		page, server := e2etest.Serve(t)
		bob := e2etest.Start(t, "answer", "--server", server, "--as", "bob", "--once", "--record", "%p.wav", "--duration", "4s", "--output", "ndjson")
		bob.Says(t, `"event":"login"`)
		e2etest.Talking(b.Open(page + "/?as=tab&call=bob"))
		bob.Ends(t, 0)
		audio, err := e2etest.FFprobeStream(filepath.Join(bob.Cmd.Dir, "tab.wav"), "a")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(bob.Out.String(), `"kind":"audio","codec":"PCMU"`) || audio.Duration < 3 {
			t.Errorf("the audio lasts %.2f s in the file; received was\n%s", audio.Duration, bob.Out.String())
		}
	})
}

// checkRecording compares a file with what the terminal says it received.
func checkRecording(t *testing.T, file, codec, ndjson string) {
	t.Helper()
	got, err := e2etest.FFprobe(file)
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
	video, err := e2etest.FFprobeStream(file, "v")
	if err != nil {
		t.Fatal(err)
	}
	audio, err := e2etest.FFprobeStream(file, "a")
	if err != nil {
		t.Fatal(err)
	}
	frames := receivedFrames(t, ndjson)
	least := frames["video"] - 2
	if !strings.Contains(ndjson, `"kind":"video","first":true,"size"`) {
		least = frames["video"] / 2 // what came first was no key frame, and is left out up to one
	}
	if video.Frames > frames["video"] || video.Frames < least {
		t.Errorf("%d frames are in the file, %d were received", video.Frames, frames["video"])
	}
	if seconds := float64(frames["audio"]) * 0.02; audio.Duration < seconds*0.95 || audio.Duration > seconds*1.05+0.3 {
		t.Errorf("the audio lasts %.2f s in the file, %.2f s were received", audio.Duration, seconds)
	}
	if diff := video.End - audio.End; diff < -1 || diff > 1 { // a tab on a busy machine begins later with one than with the other
		t.Errorf("the video ends at %.2f s and the audio at %.2f s", video.End, audio.End)
	}
}

// receivedFrames are the frames by kind in the last stats event.
func receivedFrames(t *testing.T, ndjson string) map[string]int {
	t.Helper()
	events, err := e2etest.ReadEvents(ndjson)
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

func TestOriginalTextPage(t *testing.T) {
	e2etest.InBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		_, server := e2etest.Serve(t)
		url := e2etest.OriginalPages(t) + "/text.html?as=page&server=" + server

		// The page calls.
		bob := e2etest.Start(t, "answer", "--server", server, "--as", "bob", "--once", "--say", "hello page", "--expect", "text=hello terminal", "--linger", "2m")
		bob.Says(t, "waiting for calls")
		tab := b.Open(url)
		tab.Wait(`document.title === 'ready'`)
		if err := tab.Eval(`call('bob')`, nil); err != nil {
			t.Fatal(err)
		}
		textBothWays(t, tab, bob)
		tab.Close()
		bob.Ends(t, 0)

		// The terminal calls.
		tab = b.Open(url)
		tab.Wait(`document.title === 'ready'`)
		alice := e2etest.Start(t, "call", "page", "--server", server, "--say", "hello page", "--expect", "text=hello terminal", "--linger", "2m")
		textBothWays(t, tab, alice)
		e2etest.Interrupt(t, alice)
		tab.Close()
	})
}

func textBothWays(t *testing.T, tab *webtest.Tab, p *e2etest.Process) {
	t.Helper()
	tab.Wait(`heard.innerText === 'hello page'`)
	if err := tab.Eval(`say('hello terminal')`, nil); err != nil {
		t.Fatal(err)
	}
	p.Says(t, "held: text=hello terminal")
}

func TestOriginalVideoPage(t *testing.T) {
	e2etest.InBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		_, server := e2etest.Serve(t)
		url := e2etest.OriginalPages(t) + "/video.html?as=page&server=" + server
		tab := b.Open(url)
		tab.Wait(`document.title === 'ready'`)
		alice := e2etest.Start(t, "call", "page", "--server", server, "--video", "test", "--audio", "tone:500",
			"--expect", "video.frames>=20", "--expect", e2etest.Microphone(b), "--linger", "2m")
		e2etest.SeesAndHears(t, tab, 500)
		alice.Says(t, "held: video.frames")
		alice.Says(t, "held: audio.tone")
		if err := tab.Eval(`hangUp()`, nil); err != nil {
			t.Fatal(err)
		}
		alice.Ends(t, 0)
		tab.Close()
	})
}

// The hello-world page, ours and the dialect's.
func TestHelloPage(t *testing.T) {
	e2etest.InBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		page, server := e2etest.Serve(t)
		saruman := e2etest.Start(t, "answer", "--dialect", "relay", "--server", server, "--once", "--say", "hello world!", "--expect", "text=hello world!")
		saruman.Says(t, "waiting for calls")
		tab := b.Open(page + "/hello?as=Gandalf&call=1")
		saruman.Ends(t, 0)
		tab.Wait(`document.body.innerText.split('hello world!').length > 2`)
		tab.NoErrors()
		tab.Close()

		tab = b.Open(page + "/hello?as=Saruman")
		tab.Wait(`document.querySelector('#status').innerText === 'You are Saruman, waiting for Gandalf.'`)
		gandalf := e2etest.Start(t, "call", "--dialect", "relay", "--server", server, "--say", "hello world!", "--expect", "text=hello world!")
		gandalf.Ends(t, 0)
		tab.Close()
	})
}

// A page holds the call and resumes it, which are later offers: the video
// stops and goes on at both ends, in the same call.
func TestHoldAndResume(t *testing.T) {
	e2etest.InBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		_, server := e2etest.Serve(t)
		tab := b.Open(e2etest.OriginalPages(t) + "/video.html?as=page&server=" + server)
		tab.Wait(`document.title === 'ready'`)
		alice := e2etest.Start(t, "call", "page", "--server", server, "--video", "test", "--linger", "5m",
			"--expect", "video.frames>=10", "--stats-interval", "200ms", "--output", "ndjson")
		tab.WaitFrames(5)
		alice.Says(t, `"check":"video.frames>=10","held":true`)
		for range 3 {
			offerWith(t, tab, "inactive")
			tab.Wait(`(async () => { const n = ` + decoded + `; await new Promise(r => setTimeout(r, 500)); return n === ` + decoded + `; })()`)
			offerWith(t, tab, "sendrecv")
			tab.WaitFrames(5)
		}
		if err := tab.Eval(`hangUp()`, nil); err != nil {
			t.Fatal(err)
		}
		alice.Ends(t, 0)
		if strings.Count(alice.Out.String(), `"event":"call"`) != 1 || strings.Contains(alice.Out.String(), `"failed"`) {
			t.Errorf("that was more than one call:\n%s", alice.Out)
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
