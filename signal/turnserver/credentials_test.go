package turnserver

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// The vector was made with `printf %s USER | openssl dgst -sha1 -hmac SECRET -binary | base64`.
func TestCredentials(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	c := Credentials{Secret: "north", TTL: time.Hour, Now: func() time.Time { return now }}
	user, password := c.Make("alice")
	if user != "1700003600:alice" || password != "wjwSXO2ch1B6VaLTLMy2Avn5O9o=" {
		t.Errorf("made %s %s", user, password)
	}
	for _, test := range []struct {
		user   string
		begins bool
		err    error
	}{
		{"1700003600:alice", true, nil},
		{"1700000000:alice", true, nil},
		{"1699999999:alice", true, errExpired},
		{"1699999999:alice", false, nil}, // a call that is up
		{"-5:alice", true, errExpired},
		{"alice", true, errMalformed},
		{":alice", true, errMalformed},
		{"1700003600:", true, errMalformed},
		{"1700003600", true, errMalformed},
		{"99999999999999999999:alice", true, errMalformed},
		{"", false, errMalformed},
	} {
		if _, _, err := c.check(test.user, test.begins); !errors.Is(err, test.err) {
			t.Errorf("%q (begins %t): %v, want %v", test.user, test.begins, err, test.err)
		}
	}
}

func TestUserIDs(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"alice", "Alice", "a:b", "a b", "\u00e9", "e\u0301", "名前", strings.Repeat("x", 64), "", "x:y:z"} {
		id := userID(name)
		if other, twice := seen[id]; twice {
			t.Errorf("%q and %q are both %q", name, other, id)
		}
		seen[id] = name
		if strings.ContainsAny(id, ": ") || id == "" || len(id) > 64 {
			t.Errorf("%q becomes %q", name, id)
		}
	}
	if userID("alice") != "alice" {
		t.Error("a plain name does not stay as it is")
	}
}
