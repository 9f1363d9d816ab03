package browser

import (
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/signal/web/webtest"
)

// A call of a terminal rings in a tab: declined, it ends with 12; answered with audio only, the
// terminal receives no video; and it receives video when the camera is turned on.
func TestTerminalRingsATab(t *testing.T) {
	e2etest.InBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		page, server := e2etest.Serve(t)
		tab := b.Open(page + "/?as=tab")
		e2etest.Idle(tab)
		rings := func() {
			t.Helper()
			tab.Wait(`document.querySelector('#ringing').checkVisibility() && document.querySelector('#ringing').innerText.includes('alice is calling')`)
		}
		alice := e2etest.Start(t, "call", "tab", "--server", server, "--as", "alice")
		rings()
		tab.Click("#declineBtn")
		alice.Ends(t, 12)
		e2etest.Idle(tab)

		alice = e2etest.Start(t, "call", "tab", "--server", server, "--as", "alice", "--video", "test", "--audio", "tone:700",
			"--expect", e2etest.Microphone(b), "--expect", "video.frames>=10", "--timeout", "90s", "--linger", "2m")
		rings()
		tab.Click("#acceptAudioBtn")
		e2etest.Talking(tab)
		e2etest.SeesAndHears(t, tab, 700)
		alice.Says(t, "held: audio.tone")
		if v := tab.Video("#localVideo"); v.Frames != 0 {
			t.Errorf("a call that was answered with audio only has opened the camera: %+v", v)
		}
		tab.Click("#camBtn")
		alice.Says(t, "held: video.frames")
		tab.Click("#hangUpBtn")
		alice.Ends(t, 0)
		tab.NoErrors()
		tab.Close()
	})
}

// What a tab mutes is an event of the terminal, and what a terminal pauses is shown by the tab.
func TestMuteWithATab(t *testing.T) {
	e2etest.InBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		tab, p, write := commandedByATab(t, b, "", "--video", "test", "--audio", "tone:700")
		e2etest.SeesAndHears(t, tab, 700)
		for _, c := range []struct{ button, kind string }{{"#micBtn", "audio"}, {"#camBtn", "video"}} {
			tab.Click(c.button)
			p.Says(t, `"event":"mute".*"kind":"`+c.kind+`","muted":true`)
			tab.Click(c.button)
			p.Says(t, `"event":"mute".*"kind":"`+c.kind+`","muted":false`)
		}
		peerShows := func(words string) {
			t.Helper()
			tab.Wait(`document.querySelector('#peerMuted').textContent === '` + words + `' && document.querySelector('#peerMuted').hidden === ('` + words + `' === '')`)
		}
		write(`"command":"hold"`)
		peerShows("zoe: microphone muted, camera off")
		write(`"command":"resume"`)
		peerShows("")
		e2etest.SeesAndHears(t, tab, 700)
		hangUpTab(tab, write)
	})
}
