package telemetry

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/cmd/parley/internal/event"
	"parley/peer"
	"parley/signal"
)

// nothingSent is a signaling.SendFunc that succeeds.
func nothingSent(context.Context, signal.Message) error { return nil }

// receiver receives OTLP, and returns the spans that have come.
func receiver(t *testing.T) (endpoint *url.URL, spans func() []*otlp.Span) {
	t.Helper()
	address, received := e2etest.ReceiveTraces(t)
	endpoint, err := url.Parse(address + "/v1/traces")
	if err != nil {
		t.Fatal(err)
	}
	return endpoint, func() (all []*otlp.Span) {
		for _, r := range received() {
			if got := r.GetResource().String(); !strings.Contains(got, "service.name") || !strings.Contains(got, "v1.2.3") {
				t.Errorf("got the resource %s", got)
			}
			for _, s := range r.GetScopeSpans() {
				all = append(all, s.GetSpans()...)
			}
		}
		return all
	}
}

// open opens telemetry with traces, and returns what is reported.
func open(t *testing.T, endpoint *url.URL) (*Telemetry, *bytes.Buffer) {
	t.Helper()
	var said bytes.Buffer
	report := event.NewReporter(event.Options{Out: io.Discard, Err: &said})
	telemetry, err := Open(Options{Monitoring: config.Monitoring{OTLP: endpoint}, Version: "v1.2.3", Report: report, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return telemetry, &said
}

// names returns the names of spans below a root, with an exclamation mark for those that failed.
func names(root *otlp.Span, spans []*otlp.Span) (all []string) {
	for _, s := range spans {
		name := s.GetName()
		if s.GetStatus().GetCode() == otlp.Status_STATUS_CODE_ERROR {
			name += "!"
		}
		if s != root && bytes.Equal(s.GetParentSpanId(), root.GetSpanId()) && bytes.Equal(s.GetTraceId(), root.GetTraceId()) {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

func rootOf(t *testing.T, spans []*otlp.Span) *otlp.Span {
	t.Helper()
	i := slices.IndexFunc(spans, func(s *otlp.Span) bool { return s.GetName() == "call" && len(s.GetParentSpanId()) == 0 })
	if i < 0 {
		t.Fatalf("there is no call in %v", spans)
	}
	return spans[i]
}

// TestTrace checks the spans and events of a call, and that nothing of it is readable there.
func TestTrace(t *testing.T) {
	endpoint, spans := receiver(t)
	telemetry, said := open(t, endpoint)
	c := &call{trace: telemetry.tracing.newCall("out", time.Now().Add(-time.Second))}
	telemetry.options.Report.Report(event.Event{Name: "login", Fields: event.Fields("name", "alice", "success", true)})
	happen(c)
	hangUp(c)
	c.end()
	telemetry.Close()
	got := spans()
	root := rootOf(t, got)
	want := []string{"data.first_message", "dtls.handshake", "ice.checks", "ice.gathering", "media.first_frame", "signaling.answer", "signaling.login", "signaling.offer"}
	if all := names(root, got); !slices.Equal(all, want) {
		t.Errorf("got spans %q, want %q", all, want)
	}
	var events []string
	for _, e := range root.GetEvents() {
		events = append(events, e.GetName())
	}
	if want := []string{"candidate pair selected", "disconnected", "addresses changed", "reconnected", "ice restart", "interruption"}; !slices.Equal(events, want) {
		t.Errorf("got events %q, want %q", events, want)
	}
	if root.GetKind() != otlp.Span_SPAN_KIND_CLIENT || root.GetStatus().GetCode() == otlp.Status_STATUS_CODE_ERROR || root.GetEndTimeUnixNano() < root.GetStartTimeUnixNano()+uint64(time.Second) {
		t.Errorf("got the call %v", root)
	}
	for _, s := range got {
		if text := s.String(); strings.Contains(text, "192.0.2.1") || strings.Contains(text, "secret") || strings.Contains(text, "bob") || strings.Contains(text, "abcd") || strings.Contains(text, "surprise") {
			t.Errorf("a value of the peer is in %s", text)
		}
	}
	if said.Len() > 0 {
		t.Errorf("reported %s", said)
	}
}

// TestTraceOfAFailure checks the spans of calls that do not come about.
func TestTraceOfAFailure(t *testing.T) {
	for name, tc := range map[string]struct {
		happens func(*Telemetry, *call)
		reason  string
		want    []string
	}{
		"refused login": {func(t *Telemetry, _ *call) {
			t.options.Report.Report(event.Event{Name: "login", Fields: event.Fields("success", false)})
		}, "not-begun", []string{"signaling.login!"}},
		"no answer": {func(_ *Telemetry, c *call) {
			c.trace.loggedIn(true)
			_ = c.Send(context.Background(), signal.Message{Type: signal.Offer}, nothingSent)
			c.event(event.Event{Name: "end", Fields: event.Fields("reason", "timeout")})
		}, "timeout", []string{"ice.gathering!", "signaling.answer!", "signaling.login", "signaling.offer"}},
		"no path": {func(_ *Telemetry, c *call) {
			c.trace.loggedIn(true)
			c.peerEvent(peer.ICEStateChanged{State: webrtc.ICEConnectionStateChecking})
			c.peerEvent(peer.ICEStateChanged{State: webrtc.ICEConnectionStateFailed})
			c.event(event.Event{Name: "end", Fields: event.Fields("reason", "failed")})
		}, "failed", []string{"ice.checks!", "signaling.login"}},
		"no DTLS": {func(_ *Telemetry, c *call) {
			c.trace.loggedIn(true)
			c.peerEvent(peer.ICEStateChanged{State: webrtc.ICEConnectionStateChecking})
			c.peerEvent(peer.ICEStateChanged{State: webrtc.ICEConnectionStateConnected})
			c.event(event.Event{Name: "end", Fields: event.Fields("reason", "<b>unknown")})
		}, "other", []string{"dtls.handshake!", "ice.checks", "signaling.login"}},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint, spans := receiver(t)
			telemetry, _ := open(t, endpoint)
			c := &call{trace: telemetry.tracing.newCall("out", time.Now())}
			tc.happens(telemetry, c)
			c.end()
			telemetry.Close()
			got := spans()
			root := rootOf(t, got)
			if all := names(root, got); !slices.Equal(all, tc.want) || root.GetStatus().GetMessage() != tc.reason {
				t.Errorf("got %q and %q, want %q and %q", all, root.GetStatus().GetMessage(), tc.want, tc.reason)
			}
		})
	}
}

// TestDeadReceiver checks that receivers that reject, fail, refuse or do not answer delay neither a
// call nor, for long, the end of the process, and that this is reported once.
func TestDeadReceiver(t *testing.T) {
	silent, closed := e2etest.DeadAddresses(t)
	address := func(handler http.HandlerFunc) string {
		s := httptest.NewServer(handler)
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	for name, address := range map[string]string{
		"silent":    silent,
		"closed":    closed,
		"rejecting": address(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "\x1b[31mno", http.StatusBadRequest) }),
		"failing": address(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "\x1b[31mno", http.StatusInternalServerError)
		}),
		"overloaded": address(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			http.Error(w, "no", http.StatusServiceUnavailable)
		}),
		"slow": address(func(w http.ResponseWriter, r *http.Request) { // sends a response that has no end
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = w.Write(make([]byte, 1))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}),
		"redirecting": address(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
		}),
		"flooding": address(func(w http.ResponseWriter, r *http.Request) { // sends more than is read
			for part := make([]byte, 1<<20); r.Context().Err() == nil; {
				_, _ = w.Write(part)
			}
		}),
	} {
		t.Run(name, func(t *testing.T) {
			telemetry, said := open(t, &url.URL{Scheme: "http", Host: address, Path: "/v1/traces"})
			begin := time.Now()
			for range 2 * maxQueuedSpans / 8 { // more than wait at once
				c := &call{trace: telemetry.tracing.newCall("out", time.Now())}
				happen(c)
				hangUp(c)
			}
			if took := time.Since(begin); took > flushTimeout {
				t.Errorf("the calls took %s", took)
			}
			begin = time.Now()
			telemetry.Close()
			if took := time.Since(begin); took > flushTimeout+time.Second {
				t.Errorf("the end took %s", took)
			}
			if err := telemetry.options.Report.Close(); err != nil {
				t.Fatal(err)
			}
			if text := said.String(); strings.Count(text, "traces are not exported") != 1 || strings.Contains(text, "\x1b") {
				t.Errorf("reported %q", text)
			}
		})
	}
}
