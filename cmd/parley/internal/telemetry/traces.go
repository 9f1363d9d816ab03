package telemetry

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/peer"
	"parley/signal"
)

const (
	// flushTimeout bounds the export of traces at the end of the process.
	flushTimeout = 2 * time.Second
	// exportTimeout bounds one export.
	exportTimeout = 5 * time.Second
	// maxQueuedSpans bounds the spans that wait for the receiver; further ones are dropped.
	maxQueuedSpans = 2048
	// maxSpanEvents bounds the events of a trace: a call may be interrupted as long as it lasts.
	maxSpanEvents = 128
)

// tracing exports a trace of each call. Attributes have a fixed set of values: no addresses, names
// and texts.
type tracing struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	exporter *warningExporter
	cancel   context.CancelFunc // ends an export that is under way

	mu    sync.Mutex // guards the following
	calls map[*callTrace]bool
}

// openTracing opens the export of traces. Nothing is sent before a call has ended.
func openTracing(ctx context.Context, o Options) (*tracing, error) {
	ctx, cancel := context.WithCancel(ctx)
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(o.OTLP.String()), otlptracehttp.WithTimeout(exportTimeout),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: time.Second, MaxInterval: time.Second, MaxElapsedTime: exportTimeout}))
	if err != nil {
		cancel()
		return nil, exit.Usagef("--otlp: %v", err)
	}
	source, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "parley"), attribute.String("service.version", o.Version)), resource.WithFromEnv())
	if err != nil {
		o.Report.Warnf("--otlp: the resource of traces is incomplete: %s", sanitize.Text(err.Error()))
	}
	limits := sdktrace.NewSpanLimits()
	limits.EventCountLimit, limits.AttributeValueLengthLimit = maxSpanEvents, 64
	quiet := &warningExporter{SpanExporter: exporter, ctx: ctx, warn: func(err error) {
		o.Report.Warnf("traces are not exported to --otlp: %s", sanitize.Text(err.Error()))
	}}
	provider := sdktrace.NewTracerProvider(sdktrace.WithResource(source), sdktrace.WithRawSpanLimits(limits),
		sdktrace.WithBatcher(quiet, sdktrace.WithMaxQueueSize(maxQueuedSpans), sdktrace.WithBatchTimeout(time.Second)))
	return &tracing{provider: provider, exporter: quiet, tracer: provider.Tracer("parley"), cancel: cancel, calls: map[*callTrace]bool{}}, nil
}

// close exports what waits, for flushTimeout at most.
func (t *tracing) close() {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if t.provider.Shutdown(ctx) != nil { // warningExporter has reported errors of the export
		t.exporter.report(fmt.Errorf("no answer within %s", flushTimeout))
	}
	t.cancel()
}

// loggedIn ends the login of the calls that wait for it.
func (t *tracing) loggedIn(success bool) {
	t.mu.Lock()
	calls := slices.Collect(maps.Keys(t.calls))
	t.mu.Unlock()
	for _, c := range calls {
		c.loggedIn(success)
	}
}

// warningExporter reports the first error of an exporter, and no others.
type warningExporter struct {
	sdktrace.SpanExporter
	ctx  context.Context // ends exports
	warn func(error)
	once sync.Once
}

// ExportSpans implements sdktrace.SpanExporter.
func (e *warningExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(e.ctx, cancel)
	defer stop()
	if err := e.SpanExporter.ExportSpans(ctx, spans); err != nil {
		e.report(err)
	}
	return nil
}

func (e *warningExporter) report(err error) { e.once.Do(func() { e.warn(err) }) }

// The spans of a call below the span of the call itself.
const (
	spanLogin        = "signaling.login"
	spanOffer        = "signaling.offer"
	spanAnswer       = "signaling.answer"
	spanGathering    = "ice.gathering"
	spanChecks       = "ice.checks"
	spanDTLS         = "dtls.handshake"
	spanFirstFrame   = "media.first_frame"
	spanFirstMessage = "data.first_message"
)

// callTrace is the trace of one call.
type callTrace struct {
	all    *tracing
	root   trace.Span
	ctx    context.Context // has root
	caller bool

	mu        sync.Mutex           // guards the following
	open      map[string]time.Time // spans that have begun
	done      map[string]bool      // spans that have ended
	connected time.Time            // for the first time, 0 before
	lost      time.Time            // the connection, 0 while it is up
	reason    string               // of the end
	over      bool
}

func (t *tracing) newCall(direction string, began time.Time) *callTrace {
	kind := trace.SpanKindServer
	if direction == "out" {
		kind = trace.SpanKindClient
	}
	ctx, root := t.tracer.Start(context.Background(), "call", trace.WithNewRoot(), trace.WithTimestamp(began), trace.WithSpanKind(kind),
		trace.WithAttributes(attribute.String("parley.call.direction", direction)))
	c := &callTrace{all: t, root: root, ctx: ctx, caller: direction == "out", open: map[string]time.Time{}, done: map[string]bool{}, reason: "not-begun"}
	if c.caller {
		c.open[spanLogin] = began
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls[c] = true
	return c
}

// begin begins a span, unless there was one. The caller holds mu.
func (c *callTrace) begin(name string, at time.Time) {
	if _, ok := c.open[name]; !ok && !c.done[name] {
		c.open[name] = at
	}
}

// complete ends a span that has begun. A failure is "" for none. The caller holds mu.
func (c *callTrace) complete(name string, at time.Time, failure string, attributes ...attribute.KeyValue) {
	began, ok := c.open[name]
	if !ok {
		return
	}
	delete(c.open, name)
	c.done[name] = true
	c.add(name, began, at, failure, attributes...)
}

// add adds a span below the call.
func (c *callTrace) add(name string, began, ended time.Time, failure string, attributes ...attribute.KeyValue) {
	_, span := c.all.tracer.Start(c.ctx, name, trace.WithTimestamp(began), trace.WithAttributes(attributes...))
	if failure != "" {
		span.SetStatus(codes.Error, failure)
	}
	span.End(trace.WithTimestamp(ended))
}

func (c *callTrace) loggedIn(success bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	failure := ""
	if !success {
		failure = "login refused"
	}
	c.complete(spanLogin, time.Now(), failure)
}

// message notes a message of the call, which was sent or delivered from began until now.
func (c *callTrace) message(side int, m signal.Message, began time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	switch m.Type {
	case signal.Offer:
		if c.done[spanOffer] { // a further negotiation
			return
		}
		c.done[spanOffer] = true
		c.add(spanOffer, began, now, "", attribute.String("parley.side", sides()[side]))
		c.begin(spanAnswer, now)
	case signal.Answer:
		c.complete(spanAnswer, now, "", attribute.String("parley.side", sides()[side]))
	default:
		return
	}
	if side == local && c.connected.IsZero() {
		c.begin(spanGathering, began)
	}
}

func (c *callTrace) iceRestarted(side int) {
	c.root.AddEvent("ice restart", trace.WithAttributes(attribute.String("parley.side", sides()[side])))
}

func (c *callTrace) peerEvent(e peer.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	switch e := e.(type) {
	case peer.CandidateFound:
		if !e.Remote && c.connected.IsZero() {
			c.begin(spanGathering, now)
		}
	case peer.GatheringComplete:
		c.complete(spanGathering, now, "")
	case peer.ICEStateChanged:
		c.iceStateChanged(e.State, now)
	case peer.StateChanged:
		c.stateChanged(e, now)
	case peer.PairSelected:
		c.root.AddEvent("candidate pair selected", trace.WithAttributes(attribute.String("parley.ice.local_type", candidateType(e.Local)),
			attribute.String("parley.ice.remote_type", candidateType(e.Remote)), attribute.String("network.transport", protocol(e.Local))))
	case peer.AddressesChanged:
		c.root.AddEvent("addresses changed")
	case peer.MessageReceived:
		if !c.connected.IsZero() {
			c.begin(spanFirstMessage, c.connected)
			c.complete(spanFirstMessage, now, "")
		}
	}
}

func (c *callTrace) iceStateChanged(state webrtc.ICEConnectionState, now time.Time) {
	if !c.connected.IsZero() {
		return
	}
	switch state {
	case webrtc.ICEConnectionStateChecking:
		c.begin(spanChecks, now)
	case webrtc.ICEConnectionStateConnected, webrtc.ICEConnectionStateCompleted:
		c.complete(spanChecks, now, "")
		c.begin(spanDTLS, now)
	case webrtc.ICEConnectionStateFailed:
		c.complete(spanChecks, now, "no candidate pair works")
	}
}

func (c *callTrace) stateChanged(e peer.StateChanged, now time.Time) {
	switch e.State {
	case webrtc.PeerConnectionStateConnected:
		if c.connected.IsZero() {
			c.connected = now
			c.complete(spanChecks, now, "")
			c.complete(spanDTLS, now, "")
		} else if !c.lost.IsZero() {
			c.root.AddEvent("reconnected", trace.WithAttributes(attribute.Int64("parley.milliseconds", now.Sub(c.lost).Milliseconds())))
		}
		c.lost = time.Time{}
	case webrtc.PeerConnectionStateDisconnected, webrtc.PeerConnectionStateFailed:
		if c.lost.IsZero() {
			c.lost = now.Add(-e.Silence)
		}
		c.root.AddEvent(e.State.String())
	}
}

func (c *callTrace) event(e event.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	switch e.Name {
	case "frame":
		kind := known(e.Text("kind"), "audio", "video")
		if name := spanFirstFrame + "." + kind; !c.done[name] && !c.connected.IsZero() {
			c.done[name] = true
			c.add(spanFirstFrame, c.connected, now, "", attribute.String("parley.media.kind", kind))
		}
	case "interruption":
		kind, cause := interruptionLabels(e)
		c.root.AddEvent("interruption", trace.WithAttributes(attribute.String("parley.media.kind", kind), attribute.String("parley.cause", cause),
			attribute.Int64("parley.milliseconds", int64(number(e, "ms")))))
	case "end":
		c.reason = endReason(e.Text("reason"))
	}
}

// finish ends the trace. Spans that have begun did not succeed.
func (c *callTrace) finish() {
	c.all.mu.Lock()
	delete(c.all.calls, c)
	c.all.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	c.over = true
	now := time.Now()
	for name, began := range c.open {
		if name == spanGathering && !c.connected.IsZero() { // it is connected before all candidates are there
			c.add(name, began, now, "")
			continue
		}
		c.add(name, began, now, "not completed")
	}
	c.root.SetAttributes(attribute.String("parley.call.end_reason", c.reason), attribute.Bool("parley.call.connected", !c.connected.IsZero()))
	switch c.reason {
	case "local-hangup", "remote-hangup":
	default:
		c.root.SetStatus(codes.Error, c.reason)
	}
	c.root.End(trace.WithTimestamp(now))
}
