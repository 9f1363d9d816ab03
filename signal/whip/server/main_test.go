package server_test

import (
	"testing"

	"go.uber.org/goleak"

	"parley/signal/cluster/natstest"
)

func TestMain(m *testing.M) {
	natstest.Main()
	goleak.VerifyTestMain(m)
}
