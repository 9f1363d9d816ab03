package browser

import (
	"encoding/json"
	"os/exec"
	"slices"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// TestProbeTab: our page in a real browser passes what it can show, and what it cannot is skipped.
func TestProbeTab(t *testing.T) {
	page, server := e2etest.Serve(t, "--limits", "off")
	tab := e2etest.Browsers().Chromium(t, nil).Open(page + "/?as=tab&answer=1")
	e2etest.Idle(tab)
	passes := []string{"answers", "connects", "ice-pair", "dtls-connects", "dtls-hash", "answer-bundle", "answer-adds-nothing", "data-channel",
		"audio-opus", "audio-comes", "video-vp8", "video-comes", "video-goes-on", "setup-active", "wrong-fingerprint", "unknown-codec"}
	skips := []string{"text-comes-back", "audio-tone-comes-back", "video-moves", "called-back"}
	path, err := e2etest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(path, slices.Concat([]string{"probe", "--server", server, "--format", "json", "-q", "--require", "setup.ms>0", "tab"}, passes, skips)...).Output()
	if err != nil {
		t.Errorf("probe: %v", err)
	}
	var report struct {
		Results []struct{ Name, Verdict, Reason string }
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Results) != len(passes)+len(skips) {
		t.Errorf("%d results, want %d", len(report.Results), len(passes)+len(skips))
	}
	for _, r := range report.Results {
		want := "pass"
		if slices.Contains(skips, r.Name) { // a tab sends nothing back
			want = "skip"
		}
		if r.Verdict != want {
			t.Errorf("%s: %s %s, want %s", r.Name, r.Verdict, r.Reason, want)
		}
	}
	e2etest.Idle(tab)
	tab.NoErrors()
	tab.Close()
}
