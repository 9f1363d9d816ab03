package peer

import (
	"strings"
	"testing"
)

// The sentence names what is missing, and what to do.
func TestWhyThereIsNoConnection(t *testing.T) {
	ours, theirs := map[string]int{"host": 2}, map[string]int{"host": 1, "relay": 1}
	for want, p := range map[string]progress{
		"does the other side answer calls":   {local: ours},
		"does its signaling pass candidates": {local: ours, answered: true},
		"load its page again":                {local: ours, answered: true, crossed: true},
		"2 candidates: 1 host, 1 relay":      {local: ours, remote: theirs, answered: true, crossed: true},
		"the DTLS handshake failed: refused": {local: ours, remote: theirs, answered: true, reached: true},
		"the connection was lost":            {local: ours, remote: theirs, answered: true, reached: true, wasConnected: true},
	} {
		if got := p.why("refused").Error(); !strings.Contains(got, want) {
			t.Errorf("%q, want %q in it", got, want)
		}
	}
}
