// Package telemetry exports what happens in calls to monitoring systems.
package telemetry

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"parley/cmd/parley/internal/admin"
	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/session"
	"parley/cmd/parley/internal/signaling"
	"parley/peer"
	"parley/signal"
)

// Options say where telemetry goes.
type Options struct {
	config.Monitoring
	Version string // of this program
	Report  *event.Reporter
	Logger  *slog.Logger
}

// Telemetry has the metrics and traces of the calls of a process.
type Telemetry struct {
	options Options
	metrics *metrics // nil for none
	tracing *tracing // nil for none
	stop    context.CancelFunc
	work    sync.WaitGroup
}

// Open opens what the options name, and observes the events of the report. The caller closes the
// Telemetry, unless there is an error. Nothing has been reported before.
func Open(o Options) (*Telemetry, error) {
	ctx, stop := context.WithCancel(context.Background())
	t := &Telemetry{options: o, stop: stop}
	if o.Metrics != "" {
		t.metrics = newMetrics()
	}
	if o.Metrics != "" || o.OTLP != nil {
		o.Report.Observe = t.reported
	}
	if o.Metrics != "" {
		if err := t.serveMetrics(ctx); err != nil {
			stop()
			return nil, err
		}
	}
	if o.OTLP != nil {
		var err error
		if t.tracing, err = openTracing(ctx, o); err != nil {
			t.Close()
			return nil, err
		}
	}
	return t, nil
}

// Close exports the traces of ended calls, for a short time if the receiver does not answer, and
// closes the address of the metrics.
func (t *Telemetry) Close() {
	if t.tracing != nil {
		t.tracing.close()
	}
	t.stop()
	t.work.Wait()
}

// serveMetrics serves /metrics until ctx is done.
func (t *Telemetry) serveMetrics(ctx context.Context) error {
	o := t.options
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Metrics)
	if err != nil {
		return admin.ListenError("--metrics", o.Metrics, err)
	}
	url := "http://" + admin.LocalAddress(l.Addr()) + "/metrics"
	o.Report.Report(event.Event{Name: "admin", Fields: event.Fields("address", l.Addr().String(), "url", url), Message: "metrics on " + url})
	if admin.ReachedFromElsewhere(l) {
		o.Report.Warnf("--metrics %q can be reached from other machines: it shows the state of this process to everybody there", o.Metrics)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", admin.MetricsHandler(admin.NewRegistry(o.Version, t.metrics)))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { admin.Respond(w, http.StatusOK, "/metrics") })
	handler := admin.RejectUnknownHosts(mux, ownNames(o.Metrics), "name the host in --metrics HOST:PORT")
	t.work.Go(func() {
		if err := admin.Serve(ctx, l, handler, o.Logger); err != nil {
			o.Report.Warnf("metrics are no longer served: %v", err)
		}
	})
	return nil
}

// ownNames returns the names by which metrics may be requested: the one that the address has, and
// the name of this machine.
func ownNames(address string) (names []string) {
	if host, _, err := net.SplitHostPort(address); err == nil && host != "" {
		names = append(names, strings.TrimSuffix(host, "."))
	}
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	return names
}

// reported gets the events of the process, on any goroutine.
func (t *Telemetry) reported(e event.Event) {
	if e.Name != "signaling" && e.Name != "login" {
		return
	}
	if t.metrics != nil {
		t.metrics.signaled(e)
	}
	if t.tracing != nil && e.Name == "login" {
		t.tracing.loggedIn(flag(e, "success"))
	}
}

// Attach observes a call, as a function of session.Options.Attach.
func (t *Telemetry) Attach(c *session.Session) {
	direction := "in"
	if c.Caller {
		direction = "out"
	}
	o := &call{}
	if t.metrics != nil {
		o.metrics = t.metrics.newCall(direction, c.Report, func() map[string]float64 { return c.Received.Quality() })
	}
	if t.tracing != nil {
		o.trace = t.tracing.newCall(direction, c.Began)
	}
	c.Observe(session.Observer{PeerEvent: o.peerEvent, Event: o.event, End: o.end})
	c.Intercept(o)
}

// A call is observed: what happens in it goes to its metrics and its trace.
type call struct {
	metrics *callMetrics // nil for none
	trace   *callTrace   // nil for none

	mu     sync.Mutex // guards the following
	ufrags [2]string  // of the latest local and remote description, "" for none
}

// The sides of a description.
const (
	local = iota
	remote
)

// sides returns the names of local and remote.
func sides() [2]string { return [...]string{"local", "remote"} }

func (c *call) peerEvent(e peer.Event) {
	if c.metrics != nil {
		c.metrics.peerEvent(e)
	}
	if c.trace != nil {
		c.trace.peerEvent(e)
	}
}

func (c *call) event(e event.Event) {
	if c.metrics != nil {
		c.metrics.event(e)
	}
	if c.trace != nil {
		c.trace.event(e)
	}
}

func (c *call) end() {
	if c.metrics != nil {
		c.metrics.end()
	}
	if c.trace != nil {
		c.trace.finish()
	}
}

// Send implements signaling.Middleware.
func (c *call) Send(ctx context.Context, m signal.Message, next signaling.SendFunc) error {
	began := time.Now()
	c.described(local, m)
	err := next(ctx, m)
	if c.trace != nil {
		c.trace.message(local, m, began)
	}
	return err
}

// Deliver implements signaling.Middleware.
func (c *call) Deliver(m signal.Message, next signaling.DeliverFunc) {
	began := time.Now()
	c.described(remote, m)
	next(m)
	if c.trace != nil {
		c.trace.message(remote, m, began)
	}
}

// described looks for an ICE restart (RFC 8839 section 5.4): another ice-ufrag in an offer.
func (c *call) described(side int, m signal.Message) {
	if m.Type != signal.Offer && m.Type != signal.Answer {
		return
	}
	ufrag := ufragOf(m.SDP)
	c.mu.Lock()
	before := c.ufrags[side]
	if ufrag != "" {
		c.ufrags[side] = ufrag
	}
	c.mu.Unlock()
	if m.Type != signal.Offer || before == "" || ufrag == "" || ufrag == before {
		return
	}
	if c.metrics != nil {
		c.metrics.iceRestarted(side)
	}
	if c.trace != nil {
		c.trace.iceRestarted(side)
	}
}

// ufragOf returns the first ice-ufrag of a description, "" for none. It has at most 256 characters
// (RFC 8839 section 5.4).
func ufragOf(sdp string) string {
	_, rest, _ := strings.Cut(sdp, "a=ice-ufrag:")
	ufrag, _, _ := strings.Cut(rest, "\n")
	ufrag = strings.TrimSpace(ufrag)
	return ufrag[:min(len(ufrag), 256)]
}

// number returns the value of a field that is a number, 0 for none.
func number(e event.Event, key string) float64 {
	for _, f := range e.Fields {
		if f.Key == key {
			v, _ := toFloat(f.Value)
			return v
		}
	}
	return 0
}

// flag returns the value of a field that is a boolean, false for none.
func flag(e event.Event, key string) bool {
	for _, f := range e.Fields {
		if v, ok := f.Value.(bool); ok && f.Key == key {
			return v
		}
	}
	return false
}

// known returns a value if it is one of all, and "other" if it is not, so that no peer can add
// series or attributes.
func known(value string, all ...string) string {
	for _, v := range all {
		if v == value {
			return v
		}
	}
	return "other"
}

// candidateType returns the type of a candidate as a label.
func candidateType(c peer.CandidateFound) string {
	return known(c.Type, "host", "srflx", "prflx", "relay")
}

// protocol returns the protocol of a candidate as a label.
func protocol(c peer.CandidateFound) string { return known(c.Protocol, "udp", "tcp") }

// endReason returns the reason of an end event as a label.
func endReason(reason string) string {
	return known(reason, "local-hangup", "remote-hangup", "timeout", "failed", "error", "not-begun")
}

// interruptionLabels returns the labels of an interruption.
func interruptionLabels(e event.Event) (kind, cause string) {
	return known(e.Text("kind"), "audio", "video", "data"), known(e.Text("cause"), "outage", "switch", "silence")
}
