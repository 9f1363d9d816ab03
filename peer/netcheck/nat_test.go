package netcheck

import (
	"context"
	"testing"
	"time"
)

func TestCompareMappings(t *testing.T) {
	a, b, silent := startServer(t), startServer(t), silentServer(t)
	options := Options{PacketTimeout: 300 * time.Millisecond}
	mapped := compareMappings(context.Background(), []Server{
		{URL: "stun:" + a.udp}, {URL: "turn:" + a.udp}, {URL: "stun:" + b.udp}, {URL: "turn:" + b.tcp + "?transport=tcp"},
		{URL: "stun:" + silent.LocalAddr().String()}, {URL: "stun:nobody.invalid"}, {URL: "http://example.org"},
	}, options.withDefaults())
	if len(mapped) != 2 || mapped[0] != mapped[1] || !mapped[0].Addr().IsLoopback() {
		t.Errorf("got mapped addresses %v, want the same one twice", mapped)
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if mapped := compareMappings(over, []Server{{URL: "stun:" + silent.LocalAddr().String()}}, options.withDefaults()); mapped != nil {
		t.Errorf("got mapped addresses %v after the end", mapped)
	}
}
