// Package server runs the server of the binary with ACME, webhooks, tokens and coturn.
package server

import (
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

func TestMain(m *testing.M) { e2etest.Main(m, nil) }
