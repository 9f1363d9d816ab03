package server

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
)

// MetricsType is the media type of what WriteMetrics writes.
const MetricsType = "text/plain; version=0.0.4; charset=utf-8"

// Stats are a few numbers about a server at one moment.
type Stats struct {
	// Connections are the WebSockets that are open, Pending those of them that have not logged in.
	Connections, Pending int
	// Names are signed in, and Calls open, in both dialects.
	Names, Calls int
}

// Stats returns the numbers of this moment.
func (s *Server) Stats() Stats {
	var st Stats
	st.Connections, st.Pending = s.admission.counts()
	for _, h := range []*hub{s.call, s.relay} {
		names, calls := h.counts()
		st.Names += names
		st.Calls += calls
	}
	return st
}

// WriteMetrics writes all metrics in the text format of Prometheus. They all begin with signal_, and no client can make their number grow.
func (s *Server) WriteMetrics(w io.Writer) error {
	e := exposition{}
	st, m := s.Stats(), s.metrics
	e.gauge("signal_connections", "WebSocket connections that are open.", st.Connections)
	e.gauge("signal_connections_pending", "Connections that have not logged in.", st.Pending)
	e.gauge("signal_names", "Names that are signed in.", st.Names)
	e.gauge("signal_calls", "Calls that are open.", st.Calls)
	e.gauge("signal_ready", "1 while new connections are taken in.", map[bool]int{true: 1}[s.Ready()])
	e.head("signal_connections_total", "Connections, by what became of them at the door.", "counter")
	e.line("signal_connections_total", `result="accepted"`, m.accepted.Load())
	e.each("signal_connections_total", "result", &m.refusals, &refusalValues)
	e.counter("signal_origin_rejected_total", "Upgrades refused for their origin.", &m.origins)
	e.family("signal_logins_total", "Logins, by result.", "result", &m.logins, &loginValues)
	e.family("signal_auth_failures_total", "Logins refused by the authentication, by reason.", "reason", &m.auth, &authValues)
	s.writeMessages(&e)
	e.family("signal_rate_limited_total", "Messages and connections over a limit.", "scope", &m.limits, &limitValues)
	e.family("signal_disconnects_total", "Connections that ended, by reason.", "reason", &m.ends, &endValues)
	e.family("signal_close_frames_sent_total", "Close frames sent, by code.", "code", &m.closes, &closeValues)
	e.rtt(&m.rtt)
	e.head("signal_build_info", "The build that runs.", "gauge")
	e.line("signal_build_info", "version="+quoteLabel(s.opts.Version), 1)
	_, err := io.WriteString(w, e.String())
	return err
}

func (s *Server) writeMessages(e *exposition) {
	e.head("signal_messages_received_total", "Messages of clients.", "counter")
	for i, d := range dialects {
		for j, k := range kinds {
			e.line("signal_messages_received_total", fmt.Sprintf("dialect=%q,type=%q", d, k), s.metrics.messages[i][j].Load())
		}
	}
	e.head("signal_relays_total", "Messages for other users, by what became of them.", "counter")
	for i, k := range kinds {
		for v := range s.metrics.relays[i] {
			if n := s.metrics.relays[i][v].Load(); n > 0 {
				e.line("signal_relays_total", fmt.Sprintf("type=%q,result=%q", k, deliveryResult(v)), n)
			}
		}
	}
}

// String is the label of a deliveryResult.
func (v deliveryResult) String() string {
	return [...]string{"delivered", "dropped", "absent", "no_call", "too_many_calls", "not_logged_in"}[v]
}

// exposition builds the text format of Prometheus.
type exposition struct{ strings.Builder }

func (e *exposition) head(name, help, kind string) {
	fmt.Fprintf(e, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

func (e *exposition) line(name, labels string, n uint64) {
	fmt.Fprintf(e, "%s{%s} %d\n", name, labels, n)
}

func (e *exposition) gauge(name, help string, n int) {
	e.head(name, help, "gauge")
	fmt.Fprintf(e, "%s %d\n", name, n)
}

func (e *exposition) counter(name, help string, n *atomic.Uint64) {
	e.head(name, help, "counter")
	fmt.Fprintf(e, "%s %d\n", name, n.Load())
}

func (e *exposition) family(name, help, label string, f *family, of *values) {
	e.head(name, help, "counter")
	e.each(name, label, f, of)
}

func (e *exposition) each(name, label string, f *family, of *values) {
	for i, value := range of {
		if value != "" {
			e.line(name, label+"="+quoteLabel(value), f[i].Load())
		}
	}
	if n := f[len(of)].Load(); n > 0 {
		e.line(name, label+`="other"`, n)
	}
}

func (e *exposition) rtt(h *histogram) {
	const name = "signal_ping_rtt_seconds"
	e.head(name, "Time from a ping to its pong.", "histogram")
	sum := uint64(0)
	for i := range h.buckets {
		sum += h.buckets[i].Load()
		le := "+Inf"
		if i < len(rttBounds) {
			le = strconv.FormatFloat(rttBounds[i].Seconds(), 'g', -1, 64)
		}
		e.line(name+"_bucket", "le="+quoteLabel(le), sum)
	}
	fmt.Fprintf(e, "%s_sum %g\n%s_count %d\n", name, float64(h.sum.Load())/1e9, name, sum)
}

// quoteLabel is a label's value as the format wants it.
func quoteLabel(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`).Replace(value) + `"`
}
