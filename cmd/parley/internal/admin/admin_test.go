package admin

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestServe checks that the metrics of the process are served until the context ends.
func TestServe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if ReachedFromElsewhere(l) || !strings.HasPrefix(LocalAddress(l.Addr()), "localhost:") {
		t.Errorf("%v is known as %s", l.Addr(), LocalAddress(l.Addr()))
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	handler := RejectUnknownHosts(MetricsHandler(NewRegistry("v1.2.3")), nil, "change it")
	go func() { ended <- Serve(ctx, l, handler, slog.New(slog.DiscardHandler)) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for host, want := range map[string]string{"": `version="v1.2.3"`, "evil.example": "or change it\n"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		got, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(got.Body)
		_ = got.Body.Close()
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("host %q: got %d %s, %v; want %s", host, got.StatusCode, body, err, want)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestListenError checks that the hint fits the reason for which an address cannot be listened on.
func TestListenError(t *testing.T) {
	used, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer used.Close()
	for address, want := range map[string]string{
		used.Addr().String(): "is another program running there? --metrics takes another address",
		"192.0.2.1:0":        "--metrics takes an address of this machine, or no host for all of them",
		"host.invalid:0":     "--metrics takes an address of this machine, or no host for all of them",
	} {
		l, err := net.Listen("tcp", address)
		if err == nil {
			_ = l.Close()
			t.Fatalf("%s: got a listener", address)
		}
		if err := ListenError("--metrics", address, err); !strings.HasSuffix(err.Error(), "; "+want) {
			t.Errorf("%s: got %v, want %s", address, err, want)
		}
	}
}
