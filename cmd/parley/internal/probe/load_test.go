package probe

import (
	"testing"
	"time"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/scenario"
	"parley/cmd/parley/internal/session"
)

// A step waits no longer than the language of scenarios allows, however long --timeout is.
func TestLoadScenariosTimeout(t *testing.T) {
	for _, timeout := range []time.Duration{time.Nanosecond, 1500 * time.Millisecond, scenario.MaxWait, 11 * time.Minute, 1000 * time.Hour} {
		p := &prober{
			Options:      Options{Call: &session.Options{Call: config.Call{Timeout: timeout}}, Load: Load{Peers: 1}},
			capabilities: map[string]bool{"text-echo": true, "media-echo": true, "audio-in": true, "video-in": true},
		}
		early, late := p.loadScenarios(0)
		if len(early.Steps) < 2 || len(late.Steps) < 2 {
			t.Errorf("timeout %s: got %d and %d steps", timeout, len(early.Steps), len(late.Steps))
		}
	}
}
