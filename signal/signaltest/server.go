// Package signaltest runs signaling servers for tests: ours, and small Node servers that behave as the originals do.
package signaltest

import (
	"net/http/httptest"
	"strings"
	"testing"

	"parley/signal"
)

// Start runs our server on a free loopback port until the test ends, and returns its ws:// address. Nil options are the defaults.
func Start(t testing.TB, options *signal.ServerOptions) (url string) {
	t.Helper()
	_, url = StartServer(t, options)
	return url
}

// StartServer is Start for tests that look at the server too.
func StartServer(t testing.TB, options *signal.ServerOptions) (server *signal.Server, url string) {
	t.Helper()
	server = signal.NewServer(options)
	web := httptest.NewServer(server)
	t.Cleanup(func() {
		_ = server.Close()
		web.Close()
	})
	return server, "ws" + strings.TrimPrefix(web.URL, "http")
}
