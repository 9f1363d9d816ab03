// Package bench measures streams beside those of ffmpeg and aiortc.
package bench

import (
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

func TestMain(m *testing.M) { e2etest.Main(m, nil) }
