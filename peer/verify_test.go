package peer

import (
	"regexp"
	"strings"
	"testing"
)

func TestBothEndsSeeOneCode(t *testing.T) {
	a, b := pair(t, nil)
	code := await(a, func(CodeKnown) bool { return true }).Code
	if got := await(b, func(CodeKnown) bool { return true }).Code; got != code {
		t.Errorf("the caller sees %q, the answerer %q", code, got)
	}
	if !regexp.MustCompile(`^(\d{5} ){5}\d{5}$`).MatchString(code) {
		t.Errorf("the code is %q", code)
	}
}

func TestTheCodeTellsOfAnotherFingerprint(t *testing.T) {
	ours, theirs := "a=fingerprint:sha-256 AA:BB\r\n", "a=fingerprint:sha-256 CC:DD\r\nm=audio\r\na=fingerprint:sha-256 CC:DD\r\n"
	code := verificationCode(ours, theirs)
	if verificationCode(theirs, ours) != code {
		t.Error("the code depends on who computes it")
	}
	if verificationCode(strings.ToLower(ours), theirs) != code {
		t.Error("the code depends on the case of a fingerprint")
	}
	for _, other := range []string{"a=fingerprint:sha-256 CC:DE\r\n", theirs + "a=fingerprint:sha-256 EE:FF\r\n", "a=fingerprint:sha-512 CC:DD\r\n", ""} {
		if verificationCode(ours, other) == code {
			t.Errorf("the code is the same with %q", other)
		}
	}
	// The same as in the page's test.
	if want := "35047 93744 53764 42645 35308 50988"; code != want {
		t.Errorf("the code is %q, want %q", code, want)
	}
}
