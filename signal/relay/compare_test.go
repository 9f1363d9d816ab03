package relay

import (
	"context"
	"net"
	"testing"
	"time"
)

func TestCompare(t *testing.T) {
	a, b := start(t, Options{}), start(t, Options{})
	silent, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	told := Compare(context.Background(), []Target{
		probeFor("stun:" + a.udp), probeFor("turn:" + a.udp), probeFor("stun:" + b.udp), probeFor("turn:" + b.tcp + "?transport=tcp"),
		probeFor("stun:" + silent.LocalAddr().String()), probeFor("stun:nobody.invalid"), probeFor("http://example.org"),
	}, &ProbeOptions{Answer: 300 * time.Millisecond})
	if len(told) != 2 || told[0] != told[1] || !told[0].Addr().IsLoopback() {
		t.Errorf("told %v, want the same socket twice", told)
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if told := Compare(over, []Target{probeFor("stun:" + silent.LocalAddr().String())}, nil); told != nil {
		t.Errorf("told %v after the end", told)
	}
}
