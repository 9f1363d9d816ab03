package e2etest

import (
	"io"
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
