package auth_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"parley/signal"
	"parley/signal/auth"
)

// signer has an Ed25519 key with a kid.
type signer struct {
	kid     string
	private ed25519.PrivateKey
}

func newSigner(kid string) signer {
	_, private, _ := ed25519.GenerateKey(rand.Reader)
	return signer{kid, private}
}

// token returns a token of alice that is valid for a year from 1970 on.
func (s signer) token(t *testing.T) string {
	t.Helper()
	return sign(t, jwt.SigningMethodEdDSA, s.private, claims("exp", 31_536_000), s.kid)
}

// jwks returns a JWK Set with the public keys of signers.
func jwks(signers ...signer) []byte {
	keys := []map[string]string{}
	for _, s := range signers {
		keys = append(keys, map[string]string{"kty": "OKP", "crv": "Ed25519", "kid": s.kid, "x": b64(s.private.Public().(ed25519.PublicKey))})
	}
	set, _ := json.Marshal(map[string]any{"keys": keys})
	return set
}

// clock is a clock that a test sets, in seconds.
type clock struct{ seconds atomic.Int64 }

func (c *clock) now() time.Time { return time.Unix(c.seconds.Load(), 0) }

func authorize(t *testing.T, a *auth.JWT, token string) string {
	t.Helper()
	_, err := a.Authorize(t.Context(), signal.LoginRequest{Name: "alice", Token: token})
	return deniedReason(err)
}

func replace(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// TestKeyFileRotation replaces the key file while it is used.
func TestKeyFileRotation(t *testing.T) {
	one, two := newSigner("one"), newSigner("two")
	path := write(t, jwks(one))
	var c clock
	var log bytes.Buffer
	tokens, err := auth.LoadJWT(t.Context(), path, &auth.JWTOptions{Now: c.now, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	check := func(when string, s signer, want string) {
		t.Helper()
		if got := authorize(t, tokens, s.token(t)); got != want {
			t.Errorf("%s, a token of key %q: got %q, want %q", when, s.kid, got, want)
		}
	}
	check("at first", one, "")
	check("at first", two, "invalid token")
	replace(t, path, jwks(one, two))
	check("with both keys in the file", two, "") // at once, because its key is unknown
	check("with both keys in the file", one, "")
	replace(t, path, jwks(two))
	c.seconds.Add(1)
	check("without the first key", one, "invalid token")
	check("without the first key", two, "")
	replace(t, path, []byte(`{"keys":[`))
	c.seconds.Add(1)
	check("with a damaged file", two, "")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	c.seconds.Add(1)
	check("without the file", two, "")
	if n := strings.Count(log.String(), "level=WARN"); n != 2 {
		t.Errorf("got %d warnings, want 2:\n%s", n, &log)
	}
	replace(t, path, jwks(one))
	c.seconds.Add(1)
	check("with the file back", one, "")
}

// TestKeyURLRotation rotates the keys behind a URL.
func TestKeyURLRotation(t *testing.T) {
	one, two := newSigner("one"), newSigner("two")
	var set atomic.Value
	set.Store(jwks(one))
	var requests atomic.Int64
	var status atomic.Int64
	status.Store(http.StatusOK)
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.WriteHeader(int(status.Load()))
		_, _ = w.Write(set.Load().([]byte))
	}))
	defer web.Close()
	var c clock
	tokens, err := auth.LoadJWT(t.Context(), web.URL+"/jwks.json", &auth.JWTOptions{Now: c.now, Client: web.Client()})
	if err != nil {
		t.Fatal(err)
	}
	check := func(when string, s signer, want string, wantRequests int64) {
		t.Helper()
		if got := authorize(t, tokens, s.token(t)); got != want || requests.Load() != wantRequests {
			t.Errorf("%s, a token of key %q: got %q after %d requests, want %q after %d", when, s.kid, got, requests.Load(), want, wantRequests)
		}
	}
	check("at first", one, "", 1)
	set.Store(jwks(one, two))
	check("a moment later", two, "invalid token", 1)
	c.seconds.Add(10)
	check("after ten seconds", two, "", 2)
	for range 10 {
		check("unknown keys", newSigner("three"), "invalid token", 2)
	}
	set.Store(jwks(two))
	c.seconds.Add(299)
	check("before five minutes", one, "", 2)
	c.seconds.Add(1)
	check("after five minutes", one, "invalid token", 3)
	status.Store(http.StatusInternalServerError)
	c.seconds.Add(300)
	check("while the service fails", two, "", 4)
}

// TestKeyURLs gives URLs that no keys can be had from.
func TestKeyURLs(t *testing.T) {
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, "/keys", http.StatusFound)
		case "/huge":
			_, _ = w.Write(bytes.Repeat([]byte(" "), 128<<10+1))
		case "/html":
			_, _ = w.Write([]byte("<!doctype html><title>not a set</title>"))
		case "/secret":
			_, _ = w.Write([]byte(`{"kty":"oct","k":"` + b64([]byte(secret)) + `"}`))
		default:
			http.NotFound(w, r)
		}
	}))
	defer web.Close()
	for location, want := range map[string]string{
		"http://id.example/keys":      "want https://host/path",
		"ftp://id.example/keys":       "want https://host/path",
		"https:///keys":               "want https://host/path",
		web.URL + "/none?key=s3cret":  "got status 404, want 200",
		web.URL + "/redirect":         "got status 302, want 200",
		web.URL + "/huge":             "got more than 131072 bytes",
		web.URL + "/html":             "want a JWK Set",
		web.URL + "/secret":           "has no public key",
		"https://127.0.0.1:1/nothing": "connection refused",
	} {
		client := web.Client()
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		_, err := auth.LoadJWT(t.Context(), location, &auth.JWTOptions{Client: client})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got %v, want %q", location, err, want)
		}
	}
}
