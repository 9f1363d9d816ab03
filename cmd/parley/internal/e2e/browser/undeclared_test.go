package browser

import (
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/signal/web/webtest"
)

// declareNothing takes the SSRCs out of what a page says of its media, as they are
// not in the descriptions of RFC 9429.
const declareNothing = `(() => {
	const Real = WebSocket;
	window.WebSocket = class extends Real {
		send(data) { super.send(String(data).replace(/a=ssrc(-group)?:.*?\\r\\n/g, '')); }
	};
})();`

// Audio and video of a page that declares no SSRC come, whichever end calls.
func TestATabThatDeclaresNoSource(t *testing.T) {
	e2etest.InBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		page, server := e2etest.Serve(t)
		expect := []string{"--server", server, "--as", "zoe", "--expect", "video.frames>=10", "--expect", "audio.packets>=20", "--timeout", "60s"}
		tab := b.NewTab()
		tab.Preload(declareNothing)
		tab.Go(page + "/?as=tab&answer=1")
		e2etest.Idle(tab)
		e2etest.Start(t, append([]string{"call", "tab"}, expect...)...).Ends(t, 0)
		e2etest.Idle(tab)
		p := e2etest.Start(t, append([]string{"answer", "--once"}, expect...)...)
		p.Says(t, "signed in as zoe")
		tab.Type("#callToUsernameInput", "zoe")
		tab.Click("#callBtn")
		p.Ends(t, 0)
		tab.NoErrors()
		tab.Close()
	})
}
