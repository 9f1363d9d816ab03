package e2etest

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"

	"parley/signal/web/webtest"
)

// Browsers returns the browsers of this process, which are started on first use and end with
// [Main].
var Browsers = sync.OnceValue(func() *webtest.Pool { return &webtest.Pool{} })

// InBrowsers runs a test in Chromium and in Firefox.
func InBrowsers(t *testing.T, test func(t *testing.T, b *webtest.Browser)) {
	t.Run("chromium", func(t *testing.T) { test(t, Browsers().Chromium(t, nil)) })
	t.Run("firefox", func(t *testing.T) { test(t, Browsers().Firefox(t, nil)) })
}

// TabSize is the expectation of the size of the video of a browser's fake camera, which is
// smaller while the machine is busy.
const TabSize = "video.size~^(1280x720|960x540|640x360|480x270|320x180)$"

// Microphone returns the expectation of the tone of a browser's fake microphone.
func Microphone(b *webtest.Browser) string {
	if b.Name() == "firefox" {
		return "audio.tone=440"
	}
	return "audio.tone=400"
}

// Idle waits until the page in a tab has no call.
func Idle(tab *webtest.Tab) {
	tab.Wait(`document.querySelector('#callPage').dataset.phase === 'idle' && !document.querySelector('#callPage').hidden`)
}

// Talking waits until the page in a tab is in a call.
func Talking(tab *webtest.Tab) {
	tab.Wait(`document.querySelector('#callPage').dataset.phase === 'talking'`)
}

// ChatHas waits until the chat of the page in a tab contains a text.
func ChatHas(tab *webtest.Tab, text string) {
	tab.Wait(`document.querySelector('#chatarea').innerText.includes('` + text + `')`)
}

// SeesAndHears checks that a tab shows the test pattern of 320x240 and plays a tone of hz.
func SeesAndHears(t *testing.T, tab *webtest.Tab, hz float64) {
	t.Helper()
	if v := tab.WaitFrames(5); v.Width != 320 || v.Height != 240 {
		t.Errorf("the tab shows %dx%d, want 320x240", v.Width, v.Height)
	}
	tab.WaitTone(hz)
}

// OriginalPages serves pages that behave like the original ones until the test ends and returns
// their URL. The query parameter server is the address of their signaling server.
func OriginalPages(t *testing.T) string {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	pages := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(root, "signal", "web", "testdata"))))
	t.Cleanup(pages.Close)
	return pages.URL
}
