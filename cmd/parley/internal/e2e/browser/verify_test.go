package browser

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/signal/web/webtest"
)

// tabEchoes makes a tab send back what it gets, decoded and encoded anew, in its size however busy
// the machine is.
const tabEchoes = `Promise.all(window[Symbol.for('webtest.peers')].at(-1).getTransceivers().filter(t => t.sender.track).map(async t => {
	await t.sender.replaceTrack(t.receiver.track);
	const p = t.sender.getParameters();
	p.degradationPreference = 'maintain-resolution';
	await t.sender.setParameters(p).catch(() => {}); // Firefox may know it not
}))`

// tabRecords has a tab record what it is sent until it has shown 45 more frames, as base64.
const tabRecords = `new Promise((done, fail) => {
	const video = document.querySelector('#remoteVideo');
	const r = new MediaRecorder(video.srcObject, {videoBitsPerSecond: 2e6});
	r.ondataavailable = async e => {
		const bytes = new Uint8Array(await e.data.arrayBuffer());
		let text = '';
		for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
		done(btoa(text));
	};
	r.onerror = e => fail(e.error);
	r.start();
	let left = 45;
	const shown = () => { if (--left > 0) video.requestVideoFrameCallback(shown); else r.stop(); };
	video.requestVideoFrameCallback(shown);
})`

// TestQualityThroughATab: the numbers in the video and the markers in the audio live through a
// browser that decodes and encodes them anew: in what it sends back, and, of the video, in what it
// records by itself, where a browser that is short of time stretches the audio. How late they are
// on a busy machine is not for this test.
func TestQualityThroughATab(t *testing.T) {
	qualityThroughATab(t, e2etest.Browsers().Chromium(t, nil), "--expect", "video.psnr>=20", "--expect", "audio.markers>=4",
		"--expect", "video.latency>=1", "--expect", "audio.latency>=1", "--expect", "av-sync<=60000")
}

// qualityThroughATab has a tab send back and record what it is sent, and holds what comes back to
// some expectations.
func qualityThroughATab(t *testing.T, b *webtest.Browser, expect ...string) {
	page, server := e2etest.Serve(t)
	tab := b.Open("about:blank")
	tab.KeepPeers()
	tab.Go(page + "/?as=tab&answer=1")
	e2etest.Idle(tab)
	alice := e2etest.Start(t, append([]string{"call", "tab", "--server", server, "--as", "alice", "--video", "test", "--audio", "test", "--timeout", "5m", "--linger", "5m"}, expect...)...)
	tab.WaitFrames(5)
	tab.WaitTone(440)
	if err := tab.Eval(tabEchoes, nil); err != nil {
		t.Fatal(err)
	}
	for _, e := range expect {
		if e != "--expect" {
			alice.Says(t, "held: "+regexp.QuoteMeta(e))
		}
	}
	var text string
	if err := tab.Eval(tabRecords, &text); err != nil {
		t.Fatal(err)
	}
	e2etest.Interrupt(t, alice)
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "tab.webm")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	verify := e2etest.Start(t, "verify", file, "--video-size", "320x240@15", "--require", "video.frames.identified>=5", "--require", "video.psnr>=20")
	verify.Ends(t, 0)
	t.Log(verify.Out)
}
