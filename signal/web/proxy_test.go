package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"parley/signal/web"
)

// relayTo serves our pages and hands every WebSocket on to another server.
func relayTo(t *testing.T, server string) string {
	t.Helper()
	target, err := url.Parse("http" + strings.TrimPrefix(server, "ws"))
	if err != nil {
		t.Fatal(err)
	}
	proxy, pages := httputil.NewSingleHostReverseProxy(target), web.Handler(web.AutoLoopback)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			proxy.ServeHTTP(w, r)
		} else {
			pages.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL
}
