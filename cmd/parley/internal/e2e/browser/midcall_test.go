package browser

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/signal/web/webtest"
)

// commandedWithATab is commanded in a call with a tab in which preload runs first.
func commandedWithATab(t *testing.T, b *webtest.Browser, preload string, args ...string) (tab *webtest.Tab, p *e2etest.Process, write func(command string)) {
	t.Helper()
	page, server := e2etest.Serve(t)
	tab = b.NewTab()
	tab.Preload(preload)
	tab.Go(page + "/?as=tab&answer=1")
	e2etest.Idle(tab)
	p, write = e2etest.StartCommanded(t, append([]string{"call", "tab", "--server", server, "--as", "alice"}, args...)...)
	e2etest.Talking(tab)
	return tab, p, write
}

// commandedByATab is commanded in a call of a tab in which preload runs first.
func commandedByATab(t *testing.T, b *webtest.Browser, preload string, args ...string) (tab *webtest.Tab, p *e2etest.Process, write func(command string)) {
	t.Helper()
	page, server := e2etest.Serve(t)
	p, write = e2etest.StartCommanded(t, append([]string{"answer", "--server", server, "--as", "zoe"}, args...)...)
	p.Says(t, `"event":"login"`)
	tab = b.NewTab()
	tab.KeepPeers()
	tab.Preload(preload)
	tab.Go(page + "/?as=tab&call=zoe")
	e2etest.Talking(tab)
	return tab, p, write
}

// hangUpTab has the terminal hang up, and closes the tab.
func hangUpTab(tab *webtest.Tab, write func(command string)) {
	write(`"command":"hangup"`)
	e2etest.Idle(tab)
	tab.NoErrors()
	tab.Close()
}

// pageOffers has the page of commandedByATab offer an ICE restart: its connection counts as failed
// for a moment.
func pageOffers(t *testing.T, tab *webtest.Tab) {
	t.Helper()
	if err := tab.Eval(`(pc => {
		Object.defineProperty(pc, 'connectionState', {value: 'failed', configurable: true});
		pc.onconnectionstatechange();
		delete pc.connectionState;
		pc.onconnectionstatechange();
	})(window[Symbol.for('webtest.peers')].at(-1))`, nil); err != nil {
		t.Fatal(err)
	}
}

// shows waits until the page shows video, yes or no.
func shows(tab *webtest.Tab, video string) {
	tab.Wait(`document.querySelector('#callPage').dataset.video === '` + video + `'`)
}

// The terminal adds, replaces, removes, holds and resumes in a call with a tab, and the page shows
// it.
func TestMidCallWithATab(t *testing.T) {
	tab, p, write := commandedWithATab(t, e2etest.Browsers().Chromium(t, nil), "", "--audio", "tone:700")
	tab.WaitTone(700)
	shows(tab, "no")
	for range 2 {
		write(`"command":"add","kind":"video","source":"test"`)
		tab.WaitFrames(5)
		shows(tab, "yes")
		write(`"command":"remove","kind":"video"`)
		shows(tab, "no")
	}
	write(`"command":"source","kind":"audio","source":"tone:900"`)
	tab.WaitTone(900)
	write(`"command":"hold"`)
	tab.Wait(`document.querySelector('#remoteVideo').srcObject.getTracks().every(t => t.muted)`)
	write(`"command":"resume"`)
	tab.Wait(`document.querySelector('#remoteVideo').srcObject.getAudioTracks().some(t => !t.muted)`)
	tab.WaitTone(900)
	write(`"command":"restart-ice"`)
	write(`"command":"source","kind":"audio","source":"tone:500"`)
	tab.WaitTone(500)
	write(`"command":"mute","kind":"audio"`)
	tab.Wait(`document.querySelector('#remoteVideo').srcObject.getAudioTracks().every(t => t.muted)`)
	write(`"command":"unmute","kind":"audio"`)
	tab.Wait(`document.querySelector('#remoteVideo').srcObject.getAudioTracks().some(t => !t.muted)`)
	tab.WaitTone(500)
	write(`"command":"hangup"`)
	p.Ends(t, 0)
	e2etest.Idle(tab)
	tab.NoErrors()
	tab.Close()
}

// The terminal changes the call of a tab that has called: the m-sections keep the mids of the tab.
func TestTerminalOffersToATabThatCalled(t *testing.T) {
	e2etest.InBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		page, server := e2etest.Serve(t)
		p, write := e2etest.StartCommanded(t, "answer", "--server", server, "--as", "alice", "--audio", "tone:700")
		p.Says(t, `"event":"login"`)
		tab := b.Open(page + "/?as=tab&call=alice")
		e2etest.Talking(tab)
		tab.WaitTone(700)
		write(`"command":"add","kind":"video","source":"test"`)
		tab.WaitFrames(5)
		write(`"command":"restart-ice"`)
		write(`"command":"remove","kind":"video"`)
		shows(tab, "no")
		hangUpTab(tab, write)
	})
}

// A file of another codec takes the place of the one that is sent to a tab, and
// the first one its place again.
func TestAnotherCodecInMidCallWithATab(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.ivf", "a.mp4"} {
		if err := e2etest.MakeSample(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	tab, p, write := commandedWithATab(t, e2etest.Browsers().Chromium(t, nil), "", "--video", filepath.Join(dir, "a.ivf"), "--loop", "--audio", "tone:700")
	tab.WaitFrames(5)
	for _, next := range []string{"a.mp4", "a.ivf"} {
		write(`"command":"source","kind":"video","source":"` + filepath.Join(dir, next) + `"`)
		shows(tab, "yes")
		tab.WaitFrames(10)
		tab.WaitTone(700)
	}
	write(`"command":"hangup"`)
	p.Ends(t, 0)
	tab.NoErrors()
	tab.Close()
}

// TestToneIsMeasuredOnRequest: received audio is decoded only if a check, a probe or a command
// stats asks for it.
func TestToneIsMeasuredOnRequest(t *testing.T) {
	_, server := e2etest.Serve(t)
	e2etest.Start(t, "echo", "--server", server).Says(t, "waiting for calls")
	call := func(args ...string) *e2etest.Process {
		return e2etest.Start(t, append([]string{"call", "echo", "--server", server, "--audio", "tone:700", "--linger", "1m",
			"--input", "ndjson", "--output", "ndjson", "--stats-interval", "200ms"}, args...)...)
	}
	write := func(p *e2etest.Process, command string) {
		if _, err := io.WriteString(p.In, fmt.Sprintf(`{"command":%q}`+"\n", command)); err != nil {
			t.Fatal(err)
		}
	}
	p := call("--expect", "audio.packets>=100")
	p.Says(t, `"event":"expect".*"held":true`)
	p.Says(t, `"event":"stats"`)
	if s := p.Out.Complete(); strings.Contains(s, `"tone"`) || strings.Contains(s, `"totalAudioEnergy"`) {
		t.Error("audio is decoded without a request")
	}
	write(p, "stats")
	p.Says(t, `"event":"stats".*"tone":(69|70)`)
	write(p, "hangup")
	p.Ends(t, 0)
	p = call("--expect", "audio.tone=700")
	p.Says(t, `"event":"expect".*"held":true`)
	p.Says(t, `"event":"stats".*"tone":(69|70)`)
	write(p, "hangup")
	p.Ends(t, 0)
}
