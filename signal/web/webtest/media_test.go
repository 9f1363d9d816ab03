//go:build !quick

package webtest_test

import (
	"math"
	"testing"

	"parley/signal/web/webtest"
)

// A page that calls itself: its video, its audio, its statistics.
func TestMedia(t *testing.T) {
	url := serve(t)
	each(t, nil, func(t *testing.T, b *webtest.Browser) {
		tab := b.NewTab()
		tab.KeepPeers()
		tab.Go(url + "/loop")
		tab.Wait(`remoteVideo.srcObject`)
		if v := tab.WaitFrames(10); v.Width*3 != v.Height*4 || v.Width == 0 || v.Frames < 10 {
			t.Errorf("video: %+v", v)
		}
		want := map[string]float64{"chromium": 400, "firefox": 440}[b.Name()]
		if f := tab.RemoteTone(); math.Abs(f-want) > 5 {
			t.Errorf("tone: %v Hz, want %v", f, want)
		}
		if peers := tab.Peers(); len(peers) != 2 || peers[1].Connection != "connected" || peers[1].Signaling != "stable" {
			t.Errorf("peers: %+v", peers)
		}
		bytes := 0.0
		for _, s := range tab.Stats() {
			if n, ok := s["bytesReceived"].(float64); ok && s["type"] == "inbound-rtp" {
				bytes += n
			}
		}
		if bytes == 0 {
			t.Error("statistics without a byte received")
		}
		if err := tab.Eval(`remoteVideo.srcObject.getAudioTracks().forEach(t => { t.enabled = false; })`, nil); err != nil {
			t.Fatal(err)
		}
		tab.WaitTone(0)
		tab.NoErrors()
	})
}

func TestTone(t *testing.T) {
	const rate = 48000
	wave := func(hz, level float64, on func(i int) bool) []float64 {
		s := make([]float64, rate)
		for i := range s {
			if on(i) {
				s[i] = level * math.Sin(2*math.Pi*hz*float64(i)/rate)
			}
		}
		return s
	}
	always := func(int) bool { return true }
	beeps := func(i int) bool { return i%(rate/2) < rate/50 } // 20 ms twice a second
	for _, c := range []struct {
		hz, level float64
		on        func(int) bool
		want, off float64
	}{
		{440, 0.5, always, 440, 0.5}, {1000.7, 0.01, always, 1000.7, 0.5}, {60, 0.5, always, 60, 1},
		{400, 0.3, beeps, 400, 5}, {440, 0.0001, always, 0, 0}, {440, 0, always, 0, 0},
	} {
		if got := webtest.Tone(wave(c.hz, c.level, c.on), rate); math.Abs(got-c.want) > c.off {
			t.Errorf("%v Hz at %v: heard %v", c.hz, c.level, got)
		}
	}
	if got := webtest.Tone(nil, rate); got != 0 {
		t.Errorf("nothing: heard %v", got)
	}
}
