// Package gateway publishes and plays with the WHIP and WHEP clients of others, by parley serve.
package gateway

import (
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

func TestMain(m *testing.M) { e2etest.Main(m, nil) }
