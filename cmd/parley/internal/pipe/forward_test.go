package pipe

import (
	"fmt"
	"testing"

	"parley/cmd/parley/internal/exit"
)

func TestParseListen(t *testing.T) {
	for in, want := range map[string]string{
		"tcp:8080":                    "[{localhost:8080 }]",
		"tcp:0":                       "[{localhost:0 }]",
		"tcp:[::1]:80":                "[{[::1]:80 }]",
		"tcp::80":                     "[{:80 }]",
		"tcp:2222,tcp:host:22":        "[{localhost:2222 host:22}]",
		"tcp:a:2222,tcp:[fe80::1]:22": "[{a:2222 [fe80::1]:22}]",
	} {
		if got, err := ParseListen([]string{in}); err != nil || fmt.Sprint(got) != want {
			t.Errorf("%q: got %v, %v, want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", "8080", "udp:8080", "tcp:", "tcp:x", "tcp:65536", "tcp:80,", "tcp:80,22", "tcp:80,tcp:22", "tcp:80,tcp:host:0"} {
		if got, err := ParseListen([]string{in}); exit.CodeOf(err) != exit.Usage {
			t.Errorf("%q: got %v, %v, want a usage error", in, got, err)
		}
	}
}

func TestParseTargets(t *testing.T) {
	if got, err := ParseTargets([]string{"tcp:localhost:80", "tcp:[::1]:22"}); err != nil || fmt.Sprint(got) != "[localhost:80 [::1]:22]" {
		t.Errorf("got %v, %v", got, err)
	}
	for _, in := range []string{"", "localhost:80", "tcp:80", "tcp::80", "tcp:localhost:0", "tcp:localhost:x"} {
		if got, err := ParseTargets([]string{in}); exit.CodeOf(err) != exit.Usage {
			t.Errorf("%q: got %v, %v, want a usage error", in, got, err)
		}
	}
}
