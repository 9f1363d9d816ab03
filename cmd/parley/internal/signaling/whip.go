package signaling

import (
	"fmt"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/signaling/whipcall"
	"parley/signal/whip/client"
)

// whipTransport is the Transport of a WHIP or WHEP session, which is one call.
type whipTransport struct{ *whipcall.Session }

func (t whipTransport) To(string) CallTransport { return t.Session }

// whipOptions returns the options of the session of a call.
func (l *Conn) whipOptions() whipcall.Options {
	o := l.Options
	return whipcall.Options{
		Options: client.Options{
			Token: o.Token, Header: o.Header, TLS: o.TLS, Retry: o.WHIP.Retry, OnRequest: l.reportRequest, Logger: o.Logger,
		},
		Endpoint: *o.WHIP.Endpoint, Trickle: o.WHIP.Trickle, GatherAfter: o.WHIP.GatherAfter,
	}
}

// reportRequest reports a request and its result.
func (l *Conn) reportRequest(r client.Request) {
	fields := event.Fields("method", r.Method, "url", r.URL, "status", r.Status, "ms", r.Took.Milliseconds())
	message := fmt.Sprintf("%s %s: %d, in %d ms", r.Method, sanitize.Text(r.URL), r.Status, r.Took.Milliseconds())
	if r.Err != nil {
		fields = append(fields, event.Field{Key: "error", Value: r.Err.Error()})
		message = sanitize.Text(r.Err.Error())
	}
	l.Report.Report(event.Event{Name: "request", Fields: fields, Message: message, Detail: true})
}
