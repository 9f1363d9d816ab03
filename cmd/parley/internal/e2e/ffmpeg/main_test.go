// Package ffmpeg reads what calls record and capture with ffmpeg and tshark.
package ffmpeg

import (
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

func TestMain(m *testing.M) { e2etest.Main(m, nil) }
