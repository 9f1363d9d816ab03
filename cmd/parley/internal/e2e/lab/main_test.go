//go:build !lab

// Package lab tests devices on an emulated machine.
package lab

import (
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

func TestMain(m *testing.M) { e2etest.Main(m, nil) }
