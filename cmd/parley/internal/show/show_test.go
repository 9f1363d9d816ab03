package show

import (
	"strings"
	"testing"
)

// TestWithValue checks the value that --show gets where it is given without one.
func TestWithValue(t *testing.T) {
	for args, want := range map[string]string{
		"call tab --show":        "call tab --show=auto",
		"call --show tab":        "call --show=auto tab",
		"call --show window tab": "call --show window tab",
		"call --show=sixel tab":  "call --show=sixel tab",
		"call --show -- --show":  "call --show=auto -- --show",
	} {
		if got := strings.Join(WithValue(strings.Fields(args)), " "); got != want {
			t.Errorf("%s becomes %s, want %s", args, got, want)
		}
	}
}
