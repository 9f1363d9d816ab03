// Package signaltest runs signaling servers for tests: ours, and small Node servers that behave as
// the originals do.
package signaltest

import (
	"net/http/httptest"
	"strings"
	"testing"

	"parley/signal/server"
)

// Start runs our server on a free loopback port until the test ends, and returns its ws:// address.
// Nil options are the defaults.
func Start(t testing.TB, options *server.Options) (url string) {
	t.Helper()
	_, url = StartServer(t, options)
	return url
}

// StartServer is Start for tests that look at the server too.
func StartServer(t testing.TB, options *server.Options) (srv *server.Server, url string) {
	t.Helper()
	srv = server.New(options)
	web := httptest.NewServer(srv)
	t.Cleanup(func() {
		_ = srv.Close()
		web.Close()
	})
	return srv, "ws" + strings.TrimPrefix(web.URL, "http")
}
