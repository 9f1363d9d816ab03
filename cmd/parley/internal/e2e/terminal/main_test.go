// Package terminal runs the binary in terminals, pipes and programs.
package terminal

import (
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

func TestMain(m *testing.M) { e2etest.Main(m, nil) }
