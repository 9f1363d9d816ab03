package browser

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// TestVP9LayersOfATab: VP9 with spatial layers, as Chromium encodes it, is received with the size
// of the highest layer, and a decoder that knows nothing of layers shows one frame of that size for
// each packet of the recording.
func TestVP9LayersOfATab(t *testing.T) {
	preload := smallCamera + `{
		const add = RTCPeerConnection.prototype.addTrack;
		RTCPeerConnection.prototype.addTrack = function (track, ...streams) {
			const sender = add.call(this, track, ...streams);
			this.addEventListener('connectionstatechange', async () => {
				if (track.kind !== 'video' || this.connectionState !== 'connected') return;
				const parameters = sender.getParameters();
				parameters.encodings[0].scalabilityMode = 'L3T3_KEY';
				await sender.setParameters(parameters);
				setInterval(async () => {
					for (const s of (await sender.getStats()).values()) {
						if (s.type === 'outbound-rtp') window.layers = s.scalabilityMode + ' ' + s.frameWidth;
					}
				}, 100);
			});
			return sender;
		};
	}`
	record := filepath.Join(t.TempDir(), "layers.webm")
	tab, p, write := commandedWithATab(t, e2etest.Browsers().Chromium(t, nil), preload, "--video-codec", "vp9", "--record", record,
		"--expect", "video.size=640x360", "--expect", "video.frames>=100", "--linger", "1m")
	tab.Wait(`/^L[23]T3_KEY 640$/.test(window.layers)`) // how many layers there are depends on the bitrate
	p.Says(t, `"check":"video.frames>=100","held":true`)
	write(`"command":"stats"`)
	write(`"command":"hangup"`)
	p.Ends(t, 0)
	probe := func(entries string) []string {
		t.Helper()
		out, err := exec.Command("ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", entries, "-of", "csv=p=0", record).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Fields(string(out))
	}
	frames, packets := probe("frame=width,height"), probe("packet=pts")
	sizes := map[string]int{}
	for _, f := range frames {
		sizes[strings.Trim(f, ",")]++
	}
	if len(frames) != len(packets) || sizes["640,360"] == 0 {
		t.Errorf("%d packets are decoded to frames of %v", len(packets), sizes)
	}
	tab.Close()
}
