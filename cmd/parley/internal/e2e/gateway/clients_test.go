//go:build unix && !quick

package gateway

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/signal/web/webtest"
)

// serve runs a server with the gateway, and returns the base of the URLs of users and the address
// of its signaling.
func serve(t *testing.T, flags ...string) (base, server string) {
	t.Helper()
	page, server := e2etest.Serve(t, append([]string{"--whip", "--whep"}, flags...)...)
	return strings.TrimSuffix(page, "/"), server
}

// record runs an answerer that records, and returns it and the file.
func record(t *testing.T, server string, flags ...string) (p *e2etest.Process, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "show.mkv")
	p = answer(t, server, append([]string{"--once", "--record", file}, flags...)...)
	return p, file
}

// answer runs an answerer named studio.
func answer(t *testing.T, server string, flags ...string) *e2etest.Process {
	t.Helper()
	p := e2etest.Start(t, append([]string{"answer", "--server", server, "--as", "studio", "--output", "ndjson", "--stats-interval", "0"}, flags...)...)
	p.Says(t, `"event":"login"`)
	return p
}

// node runs a program of testdata.
func node(t *testing.T, args ...string) *e2etest.Process {
	t.Helper()
	script, err := filepath.Abs(filepath.Join("testdata", args[0]))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", append([]string{script}, args[1:]...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p := e2etest.Launch(t, cmd, args)
	t.Cleanup(func() { _ = syscall.Kill(-p.Cmd.Process.Pid, syscall.SIGKILL) }) // and what it has started
	return p
}

// recorded checks a recording of H.264 of 320x240 and Opus, of at least some frames.
func recorded(t *testing.T, file string, frames int) {
	t.Helper()
	out, err := exec.Command("ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=codec_name,width,height,nb_read_frames", "-of", "json", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	var probed struct {
		Streams []struct {
			Codec  string `json:"codec_name"`
			Width  int    `json:"width"`
			Height int    `json:"height"`
			Frames int    `json:"nb_read_frames,string"`
		} `json:"streams"`
	}
	if err := json.Unmarshal(out, &probed); err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, s := range probed.Streams {
		if s.Codec != "h264" || s.Width == 320 && s.Height == 240 {
			found[s.Codec] = s.Frames
		}
	}
	if found["h264"] < frames || found["opus"] < frames {
		t.Errorf("got the recording %s, want %d frames of H.264 in 320x240 and of Opus at least", out, frames)
	}
}

// TestOBS publishes in the order of OBS, with libdatachannel, and verifies the recording.
func TestOBS(t *testing.T) {
	base, server := serve(t)
	p, file := record(t, server)
	obs := node(t, "obs.js", base+"/whip/studio", "")
	obs.Says(t, `"video_packets":100`)
	_ = obs.Cmd.Process.Signal(syscall.SIGTERM)
	obs.Says(t, `"deleted":200`)
	p.Ends(t, 0)
	recorded(t, file, 20)
}

// TestFFmpeg publishes with the WHIP muxer of FFmpeg 8.1, whose DTLS is passive or active.
func TestFFmpeg(t *testing.T) {
	base, server := serve(t)
	source := filepath.Join(t.TempDir(), "source.mkv")
	if out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=20", "-f", "lavfi", "-i", "sine=frequency=700:sample_rate=48000",
		"-t", "3", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-profile:v", "baseline", "-bf", "0", "-g", "20", "-tune", "zerolatency", "-c:a", "libopus", "-ac", "2", source).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	for name, options := range map[string]string{"passive": `{}`, "active": `{"whip_flags":"dtls_active"}`} {
		t.Run(name, func(t *testing.T) {
			p, file := record(t, server)
			muxer := node(t, "ffmpeg.js", source, base+"/whip/studio", options)
			muxer.Says(t, `"deleted":true`)
			p.Ends(t, 0)
			recorded(t, file, 40)
		})
	}
}

// open opens a client in a tab.
func open(t *testing.T, b *webtest.Browser, client, do, endpoint string) *webtest.Tab {
	t.Helper()
	files := httptest.NewServer(http.FileServer(http.Dir("testdata")))
	t.Cleanup(files.Close)
	tab := b.Open(files.URL + "/client.html?" + url.Values{"client": {client}, "do": {do}, "url": {endpoint}, "token": {""}}.Encode())
	tab.Wait("seen.ready || seen.error")
	if problem := ""; tab.Eval("seen.error ?? ''", &problem) != nil || problem != "" {
		t.Fatalf("%s: %s", client, problem)
	}
	return tab
}

// TestPlayers plays the test signals of a terminal in a tab.
func TestPlayers(t *testing.T) {
	base, server := serve(t)
	p := answer(t, server, "--video", "test", "--audio", "tone:600")
	b := e2etest.Browsers().Chromium(t, nil)
	for _, client := range []string{"whip-whep", "eyevinn"} {
		t.Run(client, func(t *testing.T) {
			tab := open(t, b, client, "play", base+"/whep/studio")
			e2etest.SeesAndHears(t, tab, 600)
			if client == "whip-whep" {
				restarted := false
				if err := tab.Eval("restart()", &restarted); err != nil || !restarted {
					t.Fatalf("the ICE restart failed: %v", err)
				}
				p.Says(t, `"connection":"connecting"(?s:.*)"connection":"connected"(?s:.*)"connection":"connecting"(?s:.*)"connection":"connected"`)
				tab.WaitFrames(10)
			}
			if err := tab.Eval("hangUp()", nil); err != nil {
				t.Fatal(err)
			}
			p.Says(t, `"event":"end".*"reason":"remote-hangup"`)
		})
	}
}

// TestBrowserPublishes publishes from a tab.
func TestBrowserPublishes(t *testing.T) {
	base, server := serve(t)
	p := answer(t, server, "--once", "--expect", "video.frames>=30", "--expect", "audio.packets>=30")
	tab := open(t, e2etest.Browsers().Chromium(t, nil), "whip-whep", "publish", base+"/whip/studio")
	p.Ends(t, 0)
	tab.Close()
}

// TestPageAnswers plays from a page: the person there is asked, and the camera is sent once the
// call is accepted.
func TestPageAnswers(t *testing.T) {
	base, _ := serve(t)
	tab := e2etest.Browsers().Chromium(t, nil).Open(base + "/?as=tab")
	e2etest.Idle(tab)
	player := func() *e2etest.Process {
		t.Helper()
		p := e2etest.Start(t, "call", strings.Replace(base, "http", "whep", 1)+"/whep/tab", "--expect", "video.frames>=10", "--expect", "audio.packets>=10", "--timeout", "50s")
		tab.Wait(`document.querySelector('#ringing').checkVisibility() && document.querySelector('#ringing').innerText.includes('whep-')`)
		return p
	}
	p := player()
	tab.Click("#declineBtn")
	p.Ends(t, 12)
	e2etest.Idle(tab)
	p = player()
	tab.Click("#acceptBtn")
	p.Ends(t, 0)
	e2etest.Idle(tab)
	tab.NoErrors()
}

// TestSimpleWHIPClient publishes with Debian's simple-whip-client, which is of GStreamer, with and
// without trickle ICE.
func TestSimpleWHIPClient(t *testing.T) {
	base, server := serve(t)
	libraries := t.TempDir()
	stub := filepath.Join(libraries, "libgupnp-igd-1.0.so.4")
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-o", stub, "-Wl,-soname,"+filepath.Base(stub), "testdata/igd.c").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	for name, flags := range map[string][]string{"trickle": nil, "no trickle": {"-n"}} {
		t.Run(name, func(t *testing.T) {
			p, file := record(t, server, "--stats-interval", "500ms")
			cmd := exec.Command("whip-client", append(flags, "-o", "-u", base+"/whip/studio",
				"-A", "audiotestsrc is-live=true ! audioconvert ! audioresample ! queue ! opusenc ! rtpopuspay pt=100 ssrc=1 ! queue ! application/x-rtp,media=audio,encoding-name=OPUS,payload=100",
				"-V", "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=20/1 ! videoconvert ! queue ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=20 ! "+
					"rtph264pay pt=96 ssrc=2 ! queue ! application/x-rtp,media=video,encoding-name=H264,payload=96")...)
			cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+libraries)
			client := e2etest.Launch(t, cmd, nil)
			p.ReceivesFrames(t, "kind", "video", 40)
			_ = client.Cmd.Process.Signal(os.Interrupt)
			p.Ends(t, 0)
			recorded(t, file, 20)
		})
	}
}
