//go:build unix && !quick

package gateway

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// TestPlayback publishes to one terminal and plays from another one, which sends what the first one
// records into a FIFO. What is in the FIFO before somebody plays makes it late by as much.
func TestPlayback(t *testing.T) {
	base, server := serve(t)
	fifo := filepath.Join(t.TempDir(), "show.mkv")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	answer(t, server, "--record", fifo)
	out := e2etest.Start(t, "answer", "--server", server, "--as", "out", "--output", "ndjson", "--stats-interval", "0", "--video", fifo, "--audio", fifo)
	out.Says(t, `"event":"login"`)
	p := e2etest.Start(t, "probe", strings.Replace(base, "http", "whip", 1)+"/whip/studio", "played", "tone", "frames", "fluent", "likeness", "gapless", "lip-sync",
		"--playback", strings.Replace(base, "http", "whep", 1)+"/whep/out", "--require", "video.psnr>=25", "--require", "video.latency<=10000")
	p.Ends(t, 0)
	p.Says(t, `7 passed, 0 failed`)
}

// TestLoad makes 20 sessions at once that publish, and 20 that play.
func TestLoad(t *testing.T) {
	base, server := serve(t)
	answer(t, server, "--video", "test", "--audio", "tone:600", "--video-size", "64x48@5")
	for _, scheme := range []string{"whip", "whep"} {
		p := e2etest.Start(t, "probe", strings.Replace(base, "http", scheme, 1)+"/"+scheme+"/studio", "--load", "20", "--ramp", "20/s", "--duration", "500ms",
			"--timeout", "60s", "--format", "json", "--require", "setup.ms:p95>=0", "--require", map[string]string{"whip": "video.reported.lost>=0", "whep": "video.loss<=100"}[scheme])
		p.Ends(t, 0)
		var report struct {
			Counts map[string]int
			Load   struct{ Peers int }
		}
		text := p.Out.String()
		if err := json.Unmarshal([]byte(text[strings.Index(text, "{"):strings.LastIndex(text, "}")+1]), &report); err != nil || report.Load.Peers != 20 || report.Counts["pass"] != 20 {
			t.Errorf("%s: got %v, %+v", scheme, err, report)
		}
	}
}
