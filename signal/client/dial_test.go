package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"parley/signal/client"
)

func TestParseAddress(t *testing.T) {
	for raw, want := range map[string]string{
		"ws://localhost:9090":       "ws://localhost:9090",
		"wss://example.com/x?y=1#z": "wss://example.com/x?y=1",
		"http://example.com":        "ws://example.com",
		"HTTPS://example.com/":      "wss://example.com/",
		"localhost:9090":            "ws://localhost:9090",
		"example.com":               "ws://example.com",
		"192.0.2.1:80":              "ws://192.0.2.1:80",
		"[::1]:9090":                "ws://[::1]:9090",
		" ws://a ":                  "ws://a",
	} {
		u, err := client.ParseAddress(raw)
		if err != nil || u.String() != want {
			t.Errorf("%q: %v, %v", raw, u, err)
		}
	}
	for raw, hint := range map[string]string{
		"":                    "empty",
		"ftp://a":             "ws://",
		":9090":               "no host",
		"ws://":               "no host",
		"ws:///path":          "no host",
		"ws://a:0":            "port",
		"ws://a:65536":        "port",
		"ws://a:b":            "port",
		"ws://me:secret@host": "credentials",
		"ws://a b":            "host name",
		"ws://[::1":           "]",
		"a\x00b":              "control character",
	} {
		_, err := client.ParseAddress(raw)
		if !errors.Is(err, client.ErrAddress) || !strings.Contains(err.Error(), hint) {
			t.Errorf("%q: %v", raw, err)
		}
		if _, dialErr := client.Dial(t.Context(), raw, nil); !errors.Is(dialErr, client.ErrAddress) {
			t.Errorf("dialing %q: %v", raw, dialErr)
		}
	}
}

// TestDialDialect refuses to dial in a dialect that does not exist.
func TestDialDialect(t *testing.T) {
	if _, err := client.Dial(t.Context(), "localhost:1", &client.Options{Dialect: "morse"}); err == nil || errors.Is(err, client.ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}

// TestUnreachable dials what is no signaling server, and wants a sentence with the next step.
func TestUnreachable(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/forbidden":
			http.Error(w, "no \x1b[31mentry\nsecond line", http.StatusForbidden)
		case "/html":
			_, _ = io.WriteString(w, "<html>")
		case "/flood":
			w.Header().Set("X-Flood", strings.Repeat("x", 512<<10))
		case "/hangup":
			panic(http.ErrAbortHandler)
		default:
			http.NotFound(w, r)
		}
	}))
	defer web.Close()
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	for address, hint := range map[string]string{
		"ws://" + closed.Addr().String():                   `connection refused; is "parley serve" running there?`,
		web.URL + "/nothing":                               "it answered 404 Not Found: 404 page not found; is it a signaling server?",
		web.URL + "/forbidden":                             "it answered 403 Forbidden: no \ufffd[31mentry",
		web.URL + "/html?token=secret":                     "/html: it answered 200 OK; is it a signaling server?",
		web.URL + "/flood":                                 "more than",
		web.URL + "/hangup":                                "hung up",
		secure.URL:                                         "its certificate is not trusted",
		strings.Replace(web.URL, "http://", "https://", 1): "it does not speak TLS",
		"ws://nobody.invalid":                              "nobody.invalid",
	} {
		_, err := client.Dial(wait(t), address, nil)
		if !errors.Is(err, client.ErrUnreachable) || !strings.Contains(err.Error(), hint) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// mute listens and takes connections, but never says a word. It reports when it has received the
// beginning of one.
func mute(t *testing.T) (address string, taken <-chan struct{}) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	took := make(chan struct{}, 10)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var conns []net.Conn
		for {
			conn, err := l.Accept()
			if err != nil {
				break
			}
			conns = append(conns, conn)
			if _, err := conn.Read(make([]byte, 1)); err == nil {
				took <- struct{}{}
			}
		}
		for _, conn := range conns {
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String(), took
}

// TestDialGivesUp ends the context while a server keeps silent, by cancelling and by deadline, with
// and without TLS.
func TestDialGivesUp(t *testing.T) {
	for _, scheme := range []string{"ws://", "wss://"} {
		address, taken := mute(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("enough")
		go func() {
			<-taken
			cancel(why)
		}()
		start := time.Now()
		_, err := client.Dial(ctx, scheme+address, &client.Options{HandshakeTimeout: time.Hour})
		if !errors.Is(err, why) || errors.Is(err, client.ErrUnreachable) || time.Since(start) > patience {
			t.Errorf("%s cancelled: %v after %v", scheme, err, time.Since(start))
		}
		short, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if _, err := client.Dial(short, scheme+address, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s deadline: %v", scheme, err)
		}
		stop()
		_, err = client.Dial(t.Context(), scheme+address, &client.Options{HandshakeTimeout: 20 * time.Millisecond})
		if !errors.Is(err, client.ErrUnreachable) || !strings.Contains(err.Error(), "no answer within 20ms") {
			t.Errorf("%s timeout: %v", scheme, err)
		}
	}
}
