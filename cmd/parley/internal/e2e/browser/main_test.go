// Package browser calls tabs of Chromium and Firefox.
package browser

import (
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

func TestMain(m *testing.M) { e2etest.Main(m, nil) }
