package main

import (
	"testing"

	"parley/cmd/parley/internal/exit"
)

// TestProbeTab: our page in a real browser passes what it can show, and what it cannot is skipped.
func TestProbeTab(t *testing.T) {
	page, server := serving(t, "--limits", "off")
	tab := browsers().Chromium(t, nil).Open(page + "/?as=tab&answer=1")
	idle(tab)
	passes := []string{"answers", "connects", "ice-pair", "dtls-connects", "dtls-hash", "answer-bundle", "answer-adds-nothing", "data-channel",
		"audio-opus", "audio-comes", "video-vp8", "video-comes", "video-goes-on", "setup-active", "wrong-fingerprint", "unknown-codec"}
	skips := []string{"text-comes-back", "audio-tone-comes-back", "video-moves", "called-back"}
	p := probeIt(t, server, append(append([]string{"--require", "setup.ms>0", "tab"}, passes...), skips...)...)
	for _, name := range passes {
		if p.verdict[name] != "pass" {
			t.Errorf("%s: %q", name, p.verdict[name])
		}
	}
	for _, name := range skips {
		if p.verdict[name] != "skip" {
			t.Errorf("%s: %q, a tab sends nothing back", name, p.verdict[name])
		}
	}
	if p.code != exit.OK {
		t.Errorf("exit code %d: %v: %s", p.code, p.bad(), p.said)
	}
	idle(tab)
	tab.NoErrors()
	tab.Close()
}
