package browser

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// smallCamera makes a page open its camera with 640x360 pixels.
const smallCamera = `try { localStorage.setItem('parley.devices', '{"size":"640x360"}'); } catch { /* about:blank */ }
`

// sendsLayers makes a page send its video in two sizes, as many as libwebrtc sends of 640x360.
const sendsLayers = `(() => {
	const add = RTCPeerConnection.prototype.addTransceiver;
	RTCPeerConnection.prototype.addTransceiver = function (track, init) {
		if (track.kind !== 'video') return add.call(this, track, init);
		const added = add.call(this, track, {...init, sendEncodings: [
			{rid: 'h', scaleResolutionDownBy: 2}, {rid: 'f'}]});
		window.layered = added.sender;
		return added;
	};
})();`

// active switches the large layer on or off; no size changes because the processor is busy.
func active(on bool) string {
	return fmt.Sprintf(`(async () => {
		const parameters = window.layered.getParameters();
		parameters.degradationPreference = 'maintain-resolution';
		parameters.encodings[1].active = %v;
		await window.layered.setParameters(parameters);
	})()`, on)
}

// The large layer that Chromium sends is recorded, the small one while that is switched off, and
// the large one again.
func TestLayersOfATab(t *testing.T) {
	page, server := e2etest.Serve(t)
	bob := e2etest.Start(t, "answer", "--as", "bob", "--server", server, "--once", "--record", "%p.webm", "--output", "ndjson", "--stats-interval", "250ms")
	bob.Says(t, `"event":"login"`)
	tab := e2etest.Browsers().Chromium(t, nil).NewTab()
	tab.Preload(smallCamera + sendsLayers)
	tab.Go(page + "/?as=tab&call=bob")
	e2etest.Talking(tab)
	if err := tab.Eval(active(true), nil); err != nil {
		t.Fatal(err)
	}
	bob.ReceivesFrames(t, "size", "640x360", 10)
	for _, on := range []bool{false, true} {
		if err := tab.Eval(active(on), nil); err != nil {
			t.Fatal(err)
		}
		bob.ReceivesFrames(t, "size", map[bool]string{true: "640x360", false: "320x180"}[on], 60)
	}
	tab.Click("#hangUpBtn")
	bob.Ends(t, 0)
	tab.NoErrors()
	tab.Close()
	out, err := exec.Command("ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "frame=width", "-of", "csv=p=0",
		filepath.Join(bob.Cmd.Dir, "tab.webm")).CombinedOutput()
	if err != nil {
		t.Fatalf("ffprobe: %v\n%s", err, out)
	}
	widths := slices.Compact(strings.Fields(strings.ReplaceAll(string(out), ",", "")))
	if got := strings.Join(widths, " "); !strings.Contains(got, "640 320 640") {
		t.Errorf("the frames in the file are %s wide, one after the other", got)
	}
}

// TestAnotherCodecOfLayers: a file of another codec takes the place of video in several sizes that
// is sent to a tab, and such video its place again.
func TestAnotherCodecOfLayers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.ivf")
	if err := e2etest.MakeSample(file); err != nil {
		t.Fatal(err)
	}
	tab, p, write := commandedWithATab(t, e2etest.Browsers().Chromium(t, nil), "", "--simulcast", "--video-codec", "h264", "--video-size", "640x480@15", "--video", "test")
	tab.WaitFrames(5)
	for _, next := range []string{file, "test"} {
		write(`"command":"source","kind":"video","source":"` + next + `"`)
		shows(tab, "yes")
		tab.WaitFrames(10)
	}
	write(`"command":"hangup"`)
	p.Ends(t, 0)
	tab.NoErrors()
	tab.Close()
}

// TestLayersToATab: who is sent several sizes sends its own video all the same.
func TestLayersToATab(t *testing.T) {
	page, server := e2etest.Serve(t)
	tab := e2etest.Browsers().Chromium(t, nil).Open(page + "/?as=tab&answer=1")
	e2etest.Idle(tab)
	p := e2etest.Start(t, "call", "tab", "--server", server, "--timeout", "60s", "--linger", "2m", "--video", "test", "--simulcast", "--expect", "video.frames>=10")
	tab.WaitFrames(5)
	p.Says(t, "held: video.frames")
	tab.Click("#hangUpBtn")
	p.Ends(t, 0)
	tab.NoErrors()
	tab.Close()
}
