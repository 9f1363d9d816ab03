package browser

import (
	"encoding/binary"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/signal/web/webtest"
)

// separation is how much louder the left channel has to be than the right one, in dB, when only the
// left one has a tone. Joint stereo of Opus leaks some of it; a mono stream has 0 dB.
const separation = 15

// leftTone makes a WAV file with a tone of 1000 Hz in the left channel and silence in the right
// one.
func leftTone(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "left.wav")
	out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "aevalsrc='0.5*sin(2*PI*1000*t)|0':s=48000:d=2", file).CombinedOutput()
	if err != nil {
		t.Fatalf("ffmpeg cannot write %s: %v\n%s", file, err, out)
	}
	return file
}

// checkLeft checks that the last half second of a recording has the tone of leftTone in the left
// channel only.
func checkLeft(t *testing.T, file string) {
	t.Helper()
	raw, err := exec.Command("ffmpeg", "-v", "error", "-i", file, "-ac", "2", "-ar", "48000", "-f", "f32le", "-").Output()
	if err != nil {
		t.Fatalf("ffmpeg cannot decode %s: %v", file, err)
	}
	const half = 48000 / 2 * 8 // bytes
	if len(raw) < half {
		t.Fatalf("%s has %d bytes of samples, want %d or more", file, len(raw), half)
	}
	var power [2]float64
	for i := len(raw) - half; i+8 <= len(raw); i += 8 {
		for c := range power {
			v := float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[i+4*c:])))
			power[c] += v * v / (half / 8)
		}
	}
	checkSeparation(t, file, 10*math.Log10(power[0]), 10*math.Log10(power[1]))
}

// checkSeparation checks the levels of the left and the right channel, in dB.
func checkSeparation(t *testing.T, where string, left, right float64) {
	t.Helper()
	if left < -40 || left-right < separation {
		t.Errorf("%s: the left channel has %.1f dB and the right one %.1f dB, want a difference of %d dB", where, left, right, separation)
	}
}

// checkOffer checks that the offer of the call declares that its side receives stereo, and not that
// it sends it: it cannot know yet whether the peer accepts that.
func checkOffer(tab *webtest.Tab, tabOffers bool) {
	var sdp string
	if err := tab.Eval(fmt.Sprintf(`(({localDescription, remoteDescription}) => (%t ? localDescription : remoteDescription).sdp)(
		window[Symbol.for('webtest.peers')].at(-1))`, tabOffers), &sdp); err != nil {
		tab.Fatalf("%v", err)
	}
	if !strings.Contains(sdp, ";stereo=1") || strings.Contains(sdp, "sprop-stereo") {
		tab.Fatalf("the offer has to declare stereo=1 and no sprop-stereo:\n%s", sdp)
	}
}

// TestStereoOfTerminals checks that a terminal records in stereo what another one sends.
func TestStereoOfTerminals(t *testing.T) {
	_, server := e2etest.Serve(t)
	bob := e2etest.Start(t, "answer", "--server", server, "--as", "bob", "--once", "--record", "bob.ogg",
		"--expect", "audio.tone=1000", "--linger", "1s", "--output", "ndjson")
	bob.Says(t, `"event":"login"`)
	e2etest.Start(t, "call", "bob", "--server", server, "--as", "alice", "--audio", leftTone(t), "--loop")
	bob.Ends(t, 0)
	checkLeft(t, filepath.Join(bob.Cmd.Dir, "bob.ogg"))
}

// TestStereoOfATab checks that a tab decodes in stereo what a terminal sends, and encodes in stereo
// what it sends back, whichever of the two makes the offer.
func TestStereoOfATab(t *testing.T) {
	e2etest.InBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		for role, tabCalls := range map[string]bool{"answers": false, "offers": true} {
			t.Run(role, func(t *testing.T) {
				b := b.For(t)
				page, server := e2etest.Serve(t)
				args := []string{"--server", server, "--as", "alice", "--audio", leftTone(t), "--loop", "--record", "tab.ogg",
					"--expect", "audio.tone=1000", "--linger", "1s", "--timeout", "5m"}
				tab := b.NewTab()
				tab.KeepPeers()
				var alice *e2etest.Process
				if tabCalls {
					alice = e2etest.Start(t, append([]string{"answer", "--once"}, args...)...)
					alice.Says(t, "waiting for calls")
					tab.Go(page + "/?as=tab&call=alice")
				} else {
					tab.Go(page + "/?as=tab&answer=1")
					e2etest.Idle(tab)
					alice = e2etest.Start(t, append([]string{"call", "tab"}, args...)...)
				}
				e2etest.Talking(tab)
				tab.WaitTone(1000)
				left, right := tab.RemoteLevels()
				checkSeparation(t, "the tab", left, right)
				checkOffer(tab, tabCalls)
				if err := tab.Eval(tabEchoes, nil); err != nil {
					t.Fatal(err)
				}
				alice.Ends(t, 0)
				checkLeft(t, filepath.Join(alice.Cmd.Dir, "tab.ogg"))
				tab.NoErrors()
				tab.Close()
			})
		}
	})
}
