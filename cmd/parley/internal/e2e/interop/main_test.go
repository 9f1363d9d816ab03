// Package interop calls the peers of other WebRTC stacks, in both roles.
package interop

import (
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

func TestMain(m *testing.M) { e2etest.Main(m, nil) }
