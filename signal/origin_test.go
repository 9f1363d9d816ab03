package signal_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"parley/signal"
	"parley/signal/signaltest"
)

func TestOrigin(t *testing.T) {
	url := signaltest.Start(t, &signal.ServerOptions{AllowOrigins: []string{"https://ok.com", "https://*.fine.org"}})
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
	everyone := signaltest.Start(t, &signal.ServerOptions{AllowOrigins: []string{"*"}})
	ws, _, err := websocket.DefaultDialer.Dial(everyone, http.Header{"Origin": {"https://evil.com"}})
	if err != nil {
		t.Fatalf("with * no origin is refused: %v", err)
	}
	_ = ws.Close()
}

func TestCheckOriginPattern(t *testing.T) {
	for pattern, good := range map[string]bool{
		"*": true, "null": true, "https://a.com": true, "https://*.a.com": true, "http://a.com:81": true,
		"": false, "a.com": false, "https://a.com/": false, "https://a.*.com": false, "https://": false, "https://a.com:x": false,
	} {
		if err := signal.CheckOriginPattern(pattern); (err == nil) != good {
			t.Errorf("%q: %v", pattern, err)
		}
	}
}

func TestPages(t *testing.T) {
	pages := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "page "+r.URL.Path) })
	for name, tc := range map[string]struct {
		options *signal.ServerOptions
		status  int
		body    string
	}{
		"pages": {&signal.ServerOptions{Pages: pages}, 200, "page /x"},
		"none":  {nil, 404, "404 page not found\n"},
	} {
		server := signal.NewServer(tc.options)
		recorder := httptest.NewRecorder()
		server.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/x", nil))
		if recorder.Code != tc.status || recorder.Body.String() != tc.body {
			t.Errorf("%s: %d %q", name, recorder.Code, recorder.Body)
		}
		_ = server.Close()
	}
}
