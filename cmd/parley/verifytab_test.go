//go:build bench

package main

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"

	"parley/signal/web/webtest"
)

// tabEchoes makes a tab send back what it gets, decoded and encoded anew.
const tabEchoes = `Promise.all(window[Symbol.for('webtest.peers')].at(-1).getTransceivers().filter(t => t.sender.track)
	.map(t => t.sender.replaceTrack(t.receiver.track)))`

// tabRecords has a tab record six seconds of what it is sent, as base64.
const tabRecords = `new Promise((done, fail) => {
	const r = new MediaRecorder(document.querySelector('#remoteVideo').srcObject, {videoBitsPerSecond: 2e6});
	r.ondataavailable = async e => {
		const bytes = new Uint8Array(await e.data.arrayBuffer());
		let text = '';
		for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
		done(btoa(text));
	};
	r.onerror = e => fail(e.error);
	r.start();
	setTimeout(() => r.stop(), 6000);
})`

// TestQualityThroughATab: the numbers in the picture and the code in the sound live through a browser that decodes and
// encodes them anew: in what it sends back, and, of the picture, in what it records by itself, where a browser that is
// short of time stretches the sound.
func TestQualityThroughATab(t *testing.T) {
	inBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		page, server := serving(t)
		tab := b.Open("about:blank")
		tab.KeepPeers()
		tab.Go(page + "/?as=tab&answer=1")
		idle(tab)
		alice := terminal(t, "call", "tab", "--server", server, "--as", "alice", "--video", "test", "--audio", "test", "--timeout", "2m", "--linger", "2m",
			"--expect", "video.psnr>=20", "--expect", "audio.words>=8", "--expect", "video.latency<=5000", "--expect", "audio.latency<=5000", "--expect", "sync<=2000")
		tab.WaitFrames(5)
		tab.WaitTone(440)
		if err := tab.Eval(tabEchoes, nil); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"video.psnr", "audio.words", "video.latency", "audio.latency", "sync"} {
			alice.says(t, "held: "+key)
		}
		var text string
		if err := tab.Eval(tabRecords, &text); err != nil {
			t.Fatal(err)
		}
		interruptProcess(t, alice)
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "tab.webm")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		verify := terminal(t, "verify", file, "--video-size", "320x240@15", "--require", "video.numbers>=10", "--require", "video.psnr>=20")
		verify.ends(t, 0)
		t.Log(verify.out)
	})
}
