package jsep

import "testing"

func TestVerificationCodeChangesWithAnyFingerprint(t *testing.T) {
	ours, theirs := []string{"sha-256 AA:BB"}, []string{"sha-256 CC:DD", "sha-256 CC:DD"}
	code := VerificationCode(ours, theirs)
	if VerificationCode(theirs, ours) != code {
		t.Error("the code depends on who computes it")
	}
	if VerificationCode([]string{"sha-256 aa:bb"}, theirs) != code {
		t.Error("the code depends on the case of a fingerprint")
	}
	for _, other := range [][]string{{"sha-256 CC:DE"}, {"sha-256 CC:DD", "sha-256 EE:FF"}, {"sha-512 CC:DD"}, nil} {
		if VerificationCode(ours, other) == code {
			t.Errorf("the code is the same with %q", other)
		}
	}
	// The same as in the page's test.
	if want := "35047 93744 53764 42645 35308 50988"; code != want {
		t.Errorf("the code is %q, want %q", code, want)
	}
}
