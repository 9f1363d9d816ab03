package auth_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"parley/signal"
	"parley/signal/auth"
)

// TestWebhook asks services that behave and services that do not.
func TestWebhook(t *testing.T) {
	asked := make(chan map[string]any, 1)
	held := make(chan struct{})
	for name, tc := range map[string]struct {
		answer  func(w http.ResponseWriter, r *http.Request)
		grant   signal.Identity
		refused string // by a Denied
		failed  string // by any other error
	}{
		"yes":            {says(200, `{"allow":true}`), signal.Identity{}, "", ""},
		"with a name":    {says(200, `{"allow":true,"name":"Alice B"}`), signal.Identity{Name: "Alice B"}, "", ""},
		"with servers":   {says(200, `{"allow":true,"iceServers":[{"urls":"turn:a","username":"u","credential":"c"},{"urls":["http:b"]},{"urls":["stun:c","stuns:d"]},5]}`), signal.Identity{ICEServers: []signal.ICEServer{{URLs: []string{"turn:a"}, Username: "u", Credential: "c"}, {URLs: []string{"stun:c", "stuns:d"}}}}, "", ""},
		"with a subject": {says(200, `{"allow":true,"subject":"user-17"}`), signal.Identity{Subject: "user-17"}, "", ""},
		"no subject":     {says(200, `{"allow":true,"subject":""}`), signal.Identity{}, "", "invalid subject"},
		"a number":       {says(200, `{"allow":true,"subject":17}`), signal.Identity{}, "", "invalid subject"},
		"a long subject": {says(200, `{"allow":true,"subject":"`+strings.Repeat("x", 256)+`"}`), signal.Identity{}, "", "invalid subject"},
		"no":             {says(200, `{"allow":false}`), signal.Identity{}, "the login was refused", ""},
		"no, because":    {says(200, `{"allow":false,"reason":"closed\u001b today"}`), signal.Identity{}, "closed\x1b today", ""},
		"a bad name":     {says(200, `{"allow":true,"name":"new\nline"}`), signal.Identity{}, "", "invalid name"},
		"for no time":    {says(200, `{"allow":true,"expiresIn":0}`), signal.Identity{}, "", "expiresIn"},
		"for a word":     {says(200, `{"allow":true,"expiresIn":"1h"}`), signal.Identity{}, "", "expiresIn"},
		"no decision":    {says(200, `{}`), signal.Identity{}, "", "want an object with allow"},
		"a string":       {says(200, `{"allow":"true"}`), signal.Identity{}, "", "want an object with allow"},
		"another case":   {says(200, `{"Allow":true}`), signal.Identity{}, "", "want an object with allow"},
		"no JSON":        {says(200, `yes`), signal.Identity{}, "", "want an object with allow"},
		"an error":       {says(500, `{"allow":true}`), signal.Identity{}, "", "500"},
		"created":        {says(201, `{"allow":true}`), signal.Identity{}, "", "201"},
		"a huge answer":  {says(200, `{"allow":true,"pad":"`+strings.Repeat("x", 64<<10)+`"}`), signal.Identity{}, "", "more than 65536 bytes"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, signal.Identity{}, "", "307"},
		"a broken answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"allow":true}`)
		}, signal.Identity{}, "", "EOF"},
		"silence": {func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-held:
			}
		}, signal.Identity{}, "", "deadline"},
	} {
		t.Run(name, func(t *testing.T) {
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var question map[string]any
				if err := json.NewDecoder(r.Body).Decode(&question); err != nil || r.Method != http.MethodPost || r.Header.Get("X-Key") != "k" || r.Host != "auth.internal" {
					t.Errorf("asked %s %s with %v: %v", r.Method, r.Host, r.Header, err)
				}
				asked <- question
				tc.answer(w, r)
			}))
			defer web.Close()
			options := &auth.WebhookOptions{Client: web.Client(), Header: http.Header{"X-Key": {"k"}, "Host": {"auth.internal"}}}
			options.Client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			if name == "silence" {
				options.Timeout = 20 * time.Millisecond
			}
			hook, err := auth.NewWebhook(web.URL+"/?key=s3cret", options)
			if err != nil {
				t.Fatal(err)
			}
			grant, err := hook.Authorize(t.Context(), signal.LoginRequest{
				Name: "alice", Token: "t", Address: netip.MustParseAddr("192.0.2.1"), Dialect: signal.DialectCall})
			if got := <-asked; got["name"] != "alice" || got["token"] != "t" || got["address"] != "192.0.2.1" || got["dialect"] != "call" {
				t.Errorf("asked %v", got)
			}
			var refusal *signal.Denied
			switch {
			case tc.refused != "":
				if !errors.As(err, &refusal) || refusal.Reason != tc.refused {
					t.Errorf("got %v", err)
				}
			case tc.failed != "":
				if err == nil || errors.As(err, &refusal) || !strings.Contains(err.Error(), tc.failed) || strings.Contains(err.Error(), "s3cret") {
					t.Errorf("got %v", err)
				}
			default:
				got, _ := json.Marshal(grant)
				want, _ := json.Marshal(tc.grant)
				if err != nil || string(got) != string(want) {
					t.Errorf("got %s, %v", got, err)
				}
			}
		})
	}
	close(held)
	for _, bad := range []string{"", "example.com", "ftp://example.com", "http://", "http://a b"} {
		if _, err := auth.NewWebhook(bad, nil); err == nil {
			t.Errorf("%q was taken for a URL", bad)
		}
	}
}

// TestWebhookExpiry lets a session last for as long as the service says, but no longer than a year.
func TestWebhookExpiry(t *testing.T) {
	for answer, want := range map[string]time.Duration{
		`{"allow":true,"expiresIn":60000}`:               time.Minute,
		`{"allow":true,"expiresIn":9223372036854775807}`: 365 * 24 * time.Hour,
	} {
		web := httptest.NewServer(http.HandlerFunc(says(200, answer)))
		hook, err := auth.NewWebhook(web.URL, &auth.WebhookOptions{Client: web.Client()})
		if err != nil {
			t.Fatal(err)
		}
		identity, err := hook.Authorize(t.Context(), signal.LoginRequest{Name: "alice"})
		if left := time.Until(identity.Expires); err != nil || left > want || left < want-30*time.Second {
			t.Errorf("%s: got %v, %v", answer, left, err)
		}
		web.Close()
	}
}

func says(status int, body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}
