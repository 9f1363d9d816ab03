package serve

import (
	"fmt"
	"net/netip"
	"testing"
)

func TestTURNAddress(t *testing.T) {
	for in, want := range map[string]string{":3478": "/3478", "192.0.2.1:5": "192.0.2.1/5", "192.0.2.1": "192.0.2.1/3478", "[::1]:7": "::1/7", ":0": "/0"} {
		host, port, err := turnAddress(in)
		if got := fmt.Sprintf("%s/%d", host, port); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"example.org:3478", ":http", ":99999", "::1:x:y", "-"} {
		if host, port, err := turnAddress(in); err == nil {
			t.Errorf("%s: got %s/%d, want an error", in, host, port)
		}
	}
}

func TestExternalIPs(t *testing.T) {
	s := &turnServer{host: "192.0.2.9"}
	got, err := s.addresses([]string{"198.51.100.7"})
	if err != nil || len(got) != 1 || got[0].Bind != netip.MustParseAddr("192.0.2.9") || got[0].Public != netip.MustParseAddr("198.51.100.7") {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"x", "0.0.0.0", "2600::1"} {
		if got, err := s.addresses([]string{bad}); err == nil {
			t.Errorf("%s: got %v, want an error", bad, got)
		}
	}
}
