package monitoring

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	otlp "go.opentelemetry.io/proto/otlp/trace/v1"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// TestTraces checks the traces that both peers of a call export: which spans there are, that they
// are below the call, and that each begins where the step before it ends.
func TestTraces(t *testing.T) {
	url, received := e2etest.ReceiveTraces(t)
	_, server := e2etest.Serve(t)
	peer := func(args ...string) *e2etest.Process {
		return e2etest.Start(t, append(args, "--video", "test", "--server", server, "--otlp", url, "--output", "ndjson", "--stats-interval", "0")...)
	}
	bob := peer("answer", "--as", "bob", "--once")
	bob.Says(t, `"event":"login"`)
	alice := peer("call", "bob", "--as", "alice", "--expect", "video.frames>=5")
	alice.Ends(t, 0)
	bob.Ends(t, 0)
	calls := map[otlp.Span_SpanKind]map[string]*otlp.Span{} // spans by the kind of their call
	var roots, others []*otlp.Span
	for _, r := range received() {
		for _, s := range r.GetScopeSpans() {
			for _, span := range s.GetSpans() {
				if span.GetName() == "call" {
					roots = append(roots, span)
				} else {
					others = append(others, span)
				}
			}
		}
	}
	for _, root := range roots {
		spans := map[string]*otlp.Span{"call": root}
		for _, s := range others {
			if bytes.Equal(s.GetTraceId(), root.GetTraceId()) && bytes.Equal(s.GetParentSpanId(), root.GetSpanId()) {
				spans[s.GetName()] = s
			}
		}
		calls[root.GetKind()] = spans
	}
	if len(roots) != 2 || len(calls) != 2 {
		t.Fatalf("got %d calls: %v", len(roots), roots)
	}
	common := []string{"signaling.offer", "signaling.answer", "ice.gathering", "ice.checks", "dtls.handshake", "media.first_frame"}
	checkTrace(t, calls[otlp.Span_SPAN_KIND_SERVER], common...)
	checkTrace(t, calls[otlp.Span_SPAN_KIND_CLIENT], append(common, "signaling.login")...)
	if of := calls[otlp.Span_SPAN_KIND_CLIENT]; of["signaling.login"].GetStartTimeUnixNano() != of["call"].GetStartTimeUnixNano() ||
		of["signaling.login"].GetEndTimeUnixNano() > of["signaling.offer"].GetEndTimeUnixNano() {
		t.Errorf("login: %v, offer: %v", of["signaling.login"], of["signaling.offer"])
	}
	events, err := e2etest.ReadEvents(alice.Out.Complete())
	if err != nil {
		t.Fatal(err)
	}
	spans := calls[otlp.Span_SPAN_KIND_CLIENT]
	for _, e := range events {
		switch {
		case e["event"] == "state" && e["connection"] == "connected":
			endsAt(t, spans["dtls.handshake"], e)
		case e["event"] == "frame":
			endsAt(t, spans["media.first_frame"], e)
		case e["event"] == "end":
			endsAt(t, spans["call"], e)
		}
	}
}

// checkTrace checks the spans of a call without a failure.
func checkTrace(t *testing.T, spans map[string]*otlp.Span, names ...string) {
	t.Helper()
	root := spans["call"]
	for _, name := range names {
		if s := spans[name]; s.GetStatus().GetCode() != otlp.Status_STATUS_CODE_UNSET || s.GetStartTimeUnixNano() < root.GetStartTimeUnixNano() ||
			s.GetStartTimeUnixNano() >= s.GetEndTimeUnixNano() || s.GetEndTimeUnixNano() > root.GetEndTimeUnixNano() {
			t.Errorf("%s: got %v in %v", name, s, root)
		}
	}
	if len(spans) != len(names)+1 {
		t.Errorf("got spans %v", spans)
	}
	for _, step := range [][2]string{{"signaling.offer", "signaling.answer"}, {"ice.checks", "dtls.handshake"}, {"dtls.handshake", "media.first_frame"}} {
		if before, after := spans[step[0]], spans[step[1]]; before.GetEndTimeUnixNano() != after.GetStartTimeUnixNano() {
			t.Errorf("%s: got %v, after %v", step[1], after, before)
		}
	}
}

// endsAt checks that a span has ended when an event was reported.
func endsAt(t *testing.T, span *otlp.Span, e e2etest.Event) {
	t.Helper()
	at, err := time.Parse(time.RFC3339, fmt.Sprint(e["time"]))
	if err != nil {
		t.Fatal(err)
	}
	if d := time.Unix(0, int64(span.GetEndTimeUnixNano())).Sub(at).Abs(); d > time.Second {
		t.Errorf("%s ends %s away from %v", span.GetName(), d, e)
	}
}

// TestTracesToNobody checks that receivers that do not answer, refuse or fail change neither a call
// nor its exit code, and that the process ends soon after the call.
func TestTracesToNobody(t *testing.T) {
	silent, closed := e2etest.DeadAddresses(t)
	failing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) }))
	defer failing.Close()
	_, server := e2etest.Serve(t)
	echo := e2etest.Start(t, "echo", "--server", server, "--output", "ndjson")
	echo.Says(t, `"event":"login"`)
	for name, address := range map[string]string{"silent": silent, "closed": closed, "failing": failing.Listener.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			call := e2etest.Start(t, "call", "echo", "--server", server, "--otlp", "http://"+address, "--output", "ndjson", "--stats-interval", "0", "--expect", "connected")
			call.Says(t, `"event":"end"`)
			ended := time.Now()
			call.Ends(t, 0)
			if took := time.Since(ended); took > 5*time.Second { // 2 s, on a busy machine
				t.Errorf("it ended %s after the call", took)
			}
			events, err := e2etest.ReadEvents(call.Out.Complete())
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				if ms, ok := e["ms"].(float64); ok && e["connection"] == "connected" && ms > 5000 {
					t.Errorf("the connection took %v ms", ms)
				}
			}
			if said := call.Err.Complete(); strings.Count(said, "traces are not exported") != 1 && name != "silent" {
				t.Errorf("reported %q", said)
			}
		})
	}
}
