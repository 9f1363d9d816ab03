//go:build bench

package browser

import (
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/signal/web/webtest"
)

// TestQualityThroughTabs: as TestQualityThroughATab, in both browsers, and soon.
func TestQualityThroughTabs(t *testing.T) {
	e2etest.InBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		qualityThroughATab(t, b, "--expect", "video.psnr>=20", "--expect", "audio.markers>=8",
			"--expect", "video.latency<=5000", "--expect", "audio.latency<=5000", "--expect", "av-sync<=2000")
	})
}
