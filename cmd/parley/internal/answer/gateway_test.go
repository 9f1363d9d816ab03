package answer

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/session"
	"parley/peer"
	signaling "parley/signal/server"
	"parley/signal/whip"
	whipserver "parley/signal/whip/server"
)

// gateway serves signaling and WHIP for one session at a time, until the test ends. It returns its
// address without a scheme.
func gateway(t *testing.T) string {
	t.Helper()
	server := signaling.New(nil)
	g := whipserver.New(server, whipserver.Options{Publish: true, Sessions: 1})
	server.HandlePrefix("/whip/", g)
	web := httptest.NewServer(server)
	t.Cleanup(func() {
		g.Close()
		_ = server.Close()
		web.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return strings.TrimPrefix(web.URL, "http")
}

// request sends a request of a WHIP client and returns the response, whose body was read.
func request(t *testing.T, method, url, body string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(soon(t), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", whip.TypeSDP)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.ReadAll(response.Body); err != nil {
		t.Fatal(err)
	}
	return response
}

// publishOffer returns the offer of a publisher that will not connect.
func publishOffer(t *testing.T) string {
	t.Helper()
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer pc.GracefulClose() //nolint:errcheck // it was not connected
	if _, err := pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}); err != nil {
		t.Fatal(err)
	}
	d, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	return d.SDP
}

// openFiles returns the number of open files, with sockets, of this process; 0 where that is
// unknown.
func openFiles() int {
	files, _ := os.ReadDir("/proc/self/fd")
	return len(files)
}

// TestPublisherNeverConnects: the session of a WHIP client that publishes and never connects ends
// by itself, and with it all that it used, so that the next client can publish.
func TestPublisherNeverConnects(t *testing.T) {
	address := gateway(t)
	ended := make(chan error, 2)
	a, _ := running(t, "ws"+address, func(a *Answerer) {
		a.options.Timeouts = peer.Timeouts{Disconnected: 300 * time.Millisecond, Failed: 300 * time.Millisecond}
		a.Ends = func(_ *session.Session, err error) bool {
			ended <- err
			return false
		}
	})
	endpoint, offer := "http"+address+"/whip/bob", publishOffer(t)
	request(t, http.MethodGet, endpoint, "") // opens the connection of the requests
	goroutines, files := runtime.NumGoroutine(), openFiles()

	for range 2 {
		created := request(t, http.MethodPost, endpoint, offer)
		if created.StatusCode != http.StatusCreated {
			t.Fatalf("POST: got %s", created.Status)
		}
		if r := request(t, http.MethodPost, endpoint, offer); r.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("POST while the only session is used: got %s", r.Status)
		}
		if err := <-ended; exit.CodeOf(err) != exit.Connection {
			t.Errorf("the call ended with %v, want that it is not connected", err)
		}
		// Its end is on its way to the server.
		location := "http" + address + created.Header.Get("Location")
		for soon := soon(t); request(t, http.MethodGet, location, "").StatusCode != http.StatusNotFound; {
			if soon.Err() != nil {
				t.Fatal("the session has not ended")
			}
		}
		if r := request(t, http.MethodDelete, location, ""); r.StatusCode != http.StatusNotFound {
			t.Errorf("DELETE of the session that has ended: got %s", r.Status)
		}
		for soon := soon(t); runtime.NumGoroutine() > goroutines || openFiles() > files; runtime.Gosched() {
			if soon.Err() != nil {
				t.Fatalf("got %d goroutines and %d open files, %d and %d before the session", runtime.NumGoroutine(), openFiles(), goroutines, files)
			}
		}
		if n := len(a.Calls.All()); n != 0 {
			t.Errorf("%d calls are left", n)
		}
	}
}
