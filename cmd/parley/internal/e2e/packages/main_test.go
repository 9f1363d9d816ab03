//go:build !quick

// Package packages checks what is installed: units, images and packages.
package packages

import (
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

func TestMain(m *testing.M) { e2etest.Main(m, nil) }
