// Package adapter calls peers of other signaling systems by the programs of the topic adapters.
package adapter

import (
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

func TestMain(m *testing.M) { e2etest.Main(m, nil) }
