//go:build codecs

package browser

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/signal/web/webtest"
)

// codecTrial is one codec in one build with one browser.
type codecTrial struct {
	build   e2etest.Build
	browser *webtest.Browser
	codec   string // as --video-codec says it
	film    string // of that codec
}

// TestCodecs has each build send each codec to each browser, which sends the same back, as a
// Markdown table. A codec that a browser has not got is refused by its answer: it says so in the
// table.
func TestCodecs(t *testing.T) {
	films := t.TempDir()
	names := map[string]string{"vp8": "film.webm", "vp9": "vp9.ivf", "h264": "film.mkv", "av1": "av1.ivf"}
	for _, name := range names {
		if err := e2etest.MakeSample(filepath.Join(films, name)); err != nil {
			t.Fatal(err)
		}
	}
	rows := []string{"| | build | VP8 | VP9 | H.264 | AV1 |\n|---|---|---|---|---|---|"}
	e2etest.InBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		for _, build := range e2etest.Builds {
			cells := []string{b.Name(), build.Name}
			for _, codec := range []string{"vp8", "vp9", "h264", "av1"} {
				trial := codecTrial{build, b, codec, filepath.Join(films, names[codec])}
				cells = append(cells, trial.run(t))
			}
			rows = append(rows, "| "+strings.Join(cells, " | ")+" |")
		}
	})
	fmt.Println(strings.Join(rows, "\n"))
}

// run makes a call with audio, and returns which ways the codec goes.
func (c codecTrial) run(t *testing.T) (cell string) {
	name := fmt.Sprintf("%s, %s", c.build.Name, c.codec)
	t.Run(name, func(t *testing.T) {
		page, server := e2etest.Serve(t)
		tab := c.browser.NewTab()
		tab.KeepPeers()
		tab.Go(page + "/?as=tab&answer=1")
		e2etest.Idle(tab)
		if !c.has(tab) {
			cell = "the browser has it not"
			tab.Close()
			return
		}
		mime := strings.ToUpper(c.codec)
		p := c.build.Start(t, nil, "call", "tab", "--server", server, "--video", c.film, "--loop", "--audio", "tone:500", "--linger", "5m", "--timeout", "60s",
			"--video-codec", c.codec, "--expect", "video.codec="+mime, "--expect", "video.frames>=10", "--expect", e2etest.Microphone(c.browser))
		e2etest.Talking(tab)
		tab.WaitFrames(5)
		tab.WaitTone(500)
		if got := codecOf(tab); got != "video/"+mime {
			t.Errorf("the tab receives %s", got)
		}
		for _, check := range []string{"video.codec", "video.frames", "audio.tone"} {
			p.Says(t, "held: "+check)
		}
		e2etest.Interrupt(t, p)
		tab.NoErrors()
		tab.Close()
		cell = "both ways"
	})
	if t.Failed() && cell == "" {
		cell = "FAILED"
	}
	return cell
}

// has reports whether the browser can send and receive the codec.
func (c codecTrial) has(tab *webtest.Tab) bool {
	var has bool
	if err := tab.Eval(fmt.Sprintf(`[RTCRtpSender, RTCRtpReceiver].every(r => r.getCapabilities('video').codecs.some(c => c.mimeType.toLowerCase() === 'video/%s'))`,
		c.codec), &has); err != nil {
		return false
	}
	return has
}

// codecOf is what the tab decodes.
func codecOf(tab *webtest.Tab) string {
	all := tab.Stats()
	for _, s := range all {
		if s["type"] != "inbound-rtp" || s["kind"] != "video" {
			continue
		}
		for _, codec := range all {
			if codec["id"] == s["codecId"] {
				return fmt.Sprint(codec["mimeType"])
			}
		}
	}
	return "nothing"
}
