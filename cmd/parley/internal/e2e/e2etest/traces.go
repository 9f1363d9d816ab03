package e2etest

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// ReceiveTraces receives OTLP over HTTP until the test ends. It returns the URL of the receiver and
// a function that returns what has come since it was last called.
func ReceiveTraces(t *testing.T) (url string, received func() []*otlp.ResourceSpans) {
	t.Helper()
	var mu sync.Mutex // guards all
	var all []*otlp.ResourceSpans
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		request := &collector.ExportTraceServiceRequest{}
		if err == nil {
			err = proto.Unmarshal(body, request)
		}
		if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("got %s %v, %v", r.URL, r.Header, err)
		}
		mu.Lock()
		all = append(all, request.GetResourceSpans()...)
		mu.Unlock()
		reply, _ := proto.Marshal(&collector.ExportTraceServiceResponse{})
		_, _ = w.Write(reply)
	}))
	t.Cleanup(server.Close)
	return server.URL, func() []*otlp.ResourceSpans {
		mu.Lock()
		defer mu.Unlock()
		got := all
		all = nil
		return got
	}
}

// DeadAddresses returns the address of a server that accepts connections and does not answer until
// the test ends, and one where nothing listens.
func DeadAddresses(t *testing.T) (silent, closed string) {
	t.Helper()
	var addresses [2]string
	for i := range addresses {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		addresses[i] = l.Addr().String()
		if i == 1 {
			_ = l.Close()
		}
	}
	return addresses[0], addresses[1]
}
