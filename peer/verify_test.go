package peer

import (
	"regexp"
	"testing"
)

func TestBothEndsSeeOneCode(t *testing.T) {
	a, b := pair(t, nil)
	code := await(a, func(VerificationCode) bool { return true }).Code
	if got := await(b, func(VerificationCode) bool { return true }).Code; got != code {
		t.Errorf("the caller sees %q, the answerer %q", code, got)
	}
	if !regexp.MustCompile(`^(\d{5} ){5}\d{5}$`).MatchString(code) {
		t.Errorf("the code is %q", code)
	}
}
