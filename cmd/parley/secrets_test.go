package main

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parley/cmd/parley/internal/exit"
	"parley/signal/server"
)

func writeSecret(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// A token comes from a file, which is read again before the token expires. The webhook gets a secret header
// from another file.
func TestTokenFile(t *testing.T) {
	dir := t.TempDir()
	tokenFile, headerFile := filepath.Join(dir, "token"), filepath.Join(dir, "headers")
	writeSecret(t, headerFile, "Authorization: Bearer s3cret\n\nX-Team: calls\n")
	tokens := make(chan string, 100)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer s3cret" || r.Header.Get("X-Team") != "calls" {
			t.Errorf("the webhook got the headers %v", r.Header)
		}
		var asked struct{ Token string }
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		tokens <- asked.Token
		answer := `{"allow":true,"expiresIn":4000}`
		if asked.Token == "bad" {
			answer = `{"allow":false,"reason":"not today"}`
		}
		_, _ = w.Write([]byte(answer))
	}))
	defer hook.Close()
	_, url := serverProcess(t, "--auth-webhook", hook.URL, "--auth-webhook-header", "@"+headerFile)
	writeSecret(t, tokenFile, "first\n")
	bob := terminal(t, "answer", "--server", url, "--as", "bob", "--token-file", tokenFile)
	for _, next := range []string{"first", "second", "bad"} {
		writeSecret(t, tokenFile, next+"\n")
		for got := ""; got != next; {
			select {
			case got = <-tokens:
			case <-bob.exited:
				t.Fatalf("the login ended before the token %q was used:\n%s", next, bob.err)
			}
		}
	}
	bob.ends(t, int(exit.Login))
	if !strings.Contains(bob.err.String(), "the token has expired") {
		t.Errorf("the reason is not reported:\n%s", bob.err)
	}
}

// The administration can be requested by a configured name, and by no other. It does not show the command line.
func TestAdminHosts(t *testing.T) {
	signaling := server.New(nil)
	defer signaling.Close()
	handler := localOnly(adminHandler(signaling, nil), []string{"parley.internal", "Metrics.example"})
	get := func(host, path string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Host = host
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	for host, want := range map[string]int{
		"127.0.0.1:9091": 200, "[::1]:9091": 200, "localhost": 200, "parley.internal:9091": 200, "PARLEY.internal": 200, "parley.internal.:9091": 200,
		"metrics.example": 200, "evil.example": 403, "parley.internal.evil.example": 403, "xparley.internal": 403, "": 403,
	} {
		if got := get(host, "/metrics").Code; got != want {
			t.Errorf("Host %q: got status %d, want %d", host, got, want)
		}
	}
	if w := get("localhost", "/debug/pprof/cmdline"); w.Code != http.StatusNotFound || strings.Contains(w.Body.String(), filepath.Base(os.Args[0])) {
		t.Errorf("/debug/pprof/cmdline: got status %d and %q", w.Code, w.Body)
	}
}

// Browsers are told to use TLS only, over TLS and by a name that is not shared.
func TestStrictTransport(t *testing.T) {
	handler := strictTransport(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for _, tc := range []struct {
		host   string
		secure bool
		want   string
	}{
		{"call.example.org", true, "max-age=31536000"}, {"call.example.org:8443", true, "max-age=31536000"},
		{"call.example.org", false, ""}, {"localhost:9090", true, ""}, {"a.localhost", true, ""},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host, r.TLS = tc.host, nil
		if tc.secure {
			r.TLS = &tls.ConnectionState{}
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if got := w.Header().Get("Strict-Transport-Security"); got != tc.want {
			t.Errorf("%s, TLS %v: got %q, want %q", tc.host, tc.secure, got, tc.want)
		}
	}
}

// Values of headers are checked, and are in no error.
func TestParseHeaders(t *testing.T) {
	for _, bad := range []string{"nonsense", ": value", "a b: s3cret", "X-A: s3cret\x00", "X-A: s3\ncret"} {
		if _, err := parseHeaders("header", []string{bad}); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: got %v", bad, err)
		}
	}
	header, err := parseHeaders("header", []string{"Authorization: Basic a:b", "x-a:1", "X-A: 2"})
	if err != nil || header.Get("Authorization") != "Basic a:b" || len(header.Values("X-A")) != 2 {
		t.Errorf("got %v, %v", header, err)
	}
	file := filepath.Join(t.TempDir(), "huge")
	writeSecret(t, file, "X: "+strings.Repeat("x", maxSecretFile))
	if _, err := parseHeaders("header", []string{"@" + file}); err == nil || !strings.Contains(err.Error(), "more than 65536 bytes") {
		t.Errorf("a huge file: got %v", err)
	}
}
