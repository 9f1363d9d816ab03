// Package pulseaudio plays and captures audio with a PulseAudio server.
package pulseaudio

import (
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

func TestMain(m *testing.M) { e2etest.Main(m, nil) }
