package quality

import (
	"testing"

	"parley/media/internal/mediatest"
)

func TestMain(m *testing.M) { mediatest.Main(m) }
