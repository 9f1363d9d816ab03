package server_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"parley/signal/server"
	"parley/signal/signaltest"
)

func TestOrigin(t *testing.T) {
	url := signaltest.Start(t, &server.Options{AllowOrigins: []string{"https://ok.com", "https://*.fine.org"}})
	host := strings.TrimPrefix(url, "ws://")
	for origin, allowed := range map[string]bool{
		"":                           true,
		"http://" + host:             true,
		"https://" + host:            true,
		"http://localhost:3000":      true,
		"http://LOCALHOST":           true,
		"http://app.localhost:1":     true,
		"http://127.1.2.3":           true,
		"http://[::1]:8080":          true,
		"https://ok.com":             true,
		"https://OK.com":             true,
		"https://a.fine.org":         true,
		"https://a.b.fine.org":       true,
		"https://fine.org":           false,
		"http://a.fine.org":          false,
		"https://a.fine.org:8443":    false,
		"https://evilfine.org":       false,
		"https://ok.com:8443":        false,
		"http://ok.com":              false,
		"https://ok.com.evil.com":    false,
		"https://evil.com/.fine.org": false,
		"https://localhost.evil.com": false,
		"http://192.0.2.1":           false,
		"null":                       false,
		"garbage":                    false,
	} {
		header := http.Header{}
		if origin != "" {
			header.Set("Origin", origin)
		}
		ws, resp, err := websocket.DefaultDialer.Dial(url, header)
		if (err == nil) != allowed {
			t.Errorf("origin %q: allowed is %v", origin, err == nil)
		}
		if err == nil {
			_ = ws.Close()
		} else if resp == nil || resp.StatusCode != http.StatusForbidden {
			t.Errorf("origin %q: answered %v", origin, resp)
		}
	}
	everyone := signaltest.Start(t, &server.Options{AllowOrigins: []string{"*"}})
	ws, _, err := websocket.DefaultDialer.Dial(everyone, http.Header{"Origin": {"https://evil.com"}})
	if err != nil {
		t.Fatalf("with * no origin is refused: %v", err)
	}
	_ = ws.Close()
}

// TestHost asks for the server by names that are its own and others, from a page of the same
// origin. The owner of any other name can point it here (DNS rebinding).
func TestHost(t *testing.T) {
	url := signaltest.Start(t, &server.Options{
		IsOwnName: func(host string) bool { return host == "call.example.org" }, AllowOrigins: []string{"https://ok.com"},
	})
	for _, tc := range []struct {
		host, origin string
		allowed      bool
	}{
		{"evil.example:9090", "http://evil.example:9090", false},
		{"evil.example", "http://evil.example", false},
		{"evil.example", "", true}, // a program
		{"call.example.org", "https://call.example.org", true},
		{"Call.Example.ORG", "https://call.example.org", true},
		{"call.example.org:9090", "http://call.example.org:9090", true},
		{"call.example.org:443", "https://call.example.org", true},
		{"call.example.org", "https://call.example.org:443", true},
		{"call.example.org:80", "http://call.example.org", true},
		{"call.example.org", "http://call.example.org:80", true},
		{"call.example.org:443", "http://call.example.org", false},
		{"call.example.org:80", "https://call.example.org", false},
		{"call.example.org", "https://call.example.org:9090", false},
		{"call.example.org.evil.example", "https://call.example.org.evil.example", false},
		{"localhost:9090", "http://localhost:9090", true},
		{"192.168.1.7:9090", "http://192.168.1.7:9090", true},
		{"[2001:db8::1]:9090", "http://[2001:db8::1]:9090", true},
		{"[2001:db8::1]:443", "https://[2001:db8::1]", true},
		{"192.168.1.7:9090", "http://192.168.1.8:9090", false},
		{"192.168.1.7.evil.example", "http://192.168.1.7.evil.example", false},
		{"evil.example", "https://ok.com", true}, // a proxy may change Host
	} {
		header := http.Header{"Host": {tc.host}}
		if tc.origin != "" {
			header.Set("Origin", tc.origin)
		}
		ws, resp, err := websocket.DefaultDialer.Dial(url, header)
		if (err == nil) != tc.allowed {
			t.Errorf("host %q, origin %q: allowed is %v, want %v", tc.host, tc.origin, err == nil, tc.allowed)
		}
		if err == nil {
			_ = ws.Close()
		} else if resp == nil || resp.StatusCode != http.StatusForbidden {
			t.Errorf("host %q, origin %q: answered %v", tc.host, tc.origin, resp)
		}
	}
}

func TestCheckOriginPattern(t *testing.T) {
	for pattern, good := range map[string]bool{
		"*": true, "null": true, "https://a.com": true, "https://*.a.com": true, "http://a.com:81": true,
		"": false, "a.com": false, "https://a.com/": false, "https://a.*.com": false, "https://": false, "https://a.com:x": false,
	} {
		if err := server.CheckOriginPattern(pattern); (err == nil) != good {
			t.Errorf("%q: %v", pattern, err)
		}
	}
}

func TestPages(t *testing.T) {
	pages := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "page "+r.URL.Path) })
	for name, tc := range map[string]struct {
		options *server.Options
		status  int
		body    string
	}{
		"pages": {&server.Options{Pages: pages}, 200, "page /x"},
		"none":  {nil, 404, "404 page not found\n"},
	} {
		server := server.New(tc.options)
		recorder := httptest.NewRecorder()
		server.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/x", nil))
		if recorder.Code != tc.status || recorder.Body.String() != tc.body {
			t.Errorf("%s: %d %q", name, recorder.Code, recorder.Body)
		}
		_ = server.Close()
	}
}
