//go:build linux

// Package network calls over networks of namespaces: NATs, firewalls, outages and emulated links.
package network

import (
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

func TestMain(m *testing.M) {
	e2etest.Main(m, map[string]func(){"hidden-peer": hiddenPeer, "netem-bridge": netemBridge})
}
