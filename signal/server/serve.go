package server

import (
	"errors"
	"time"

	"parley/signal/internal/wsconn"

	"parley/signal"
	"parley/signal/internal/wire"
)

// maxViolations is how many messages over a limit are answered with an error only; the third in ten seconds closes the connection.
var maxViolations = Rate{PerSecond: 0.1, Burst: 2}.resolve(0, 0)

// errReplaced ends the reading of a connection whose client has come back on another.
var errReplaced = errors.New("the client has come back on another connection")

// serve handles one frame of a client. The first one decides the dialect. An error ends the connection.
func (s *Server) serve(c *conn, w *wsconn.Batch, frame []byte) error {
	var req wire.Request
	if c.dialect != signal.DialectRelay {
		req = wire.DecodeCall(frame)
	}
	if c.dialect == "" {
		c.dialect = signal.DialectCall
		if req.Relay {
			c.dialect = signal.DialectRelay
		}
	}
	if c.dialect == signal.DialectRelay {
		req = wire.DecodeRelay(frame)
	}
	if c.session == nil || c.session.resumable == nil {
		return s.dispatch(c, w, req)
	}
	return s.serveResumable(c, w, req)
}

// serveResumable handles a frame of a client that may come back: each once, and none after it has come back elsewhere.
func (s *Server) serveResumable(c *conn, w *wsconn.Batch, req wire.Request) error {
	r := c.session.resumable
	r.serveMu.Lock()
	defer r.serveMu.Unlock()
	if r.connection() != c {
		return errReplaced
	}
	serve, err := r.accept(w, req.Seq, req.Ack)
	if !serve || err != nil {
		return err
	}
	return s.dispatch(c, w, req)
}

func (s *Server) dispatch(c *conn, w *wsconn.Batch, req wire.Request) error {
	if c.dialect == signal.DialectRelay {
		return s.serveRelay(c, w, req)
	}
	return s.serveCall(c, w, req)
}

// reply queues a frame for the client itself.
func (c *conn) reply(w *wsconn.Batch, frame []byte) {
	if c.session != nil {
		c.session.send(w, frame)
		return
	}
	c.Send(w, frame)
}

// limited reports whether a message of this type is one too many. The rates are those of one call: a user in several calls, such as
// an answerer that many call at once, may send as much in each.
func (c *conn) limited(w *wsconn.Batch, typ signal.Type) bool {
	l, calls := &c.server.limits, 1
	if c.session != nil {
		calls = max(c.session.callCount(), 1)
	}
	switch typ {
	case signal.Offer, signal.Answer:
		return !c.offers.take(w.Now, l.offers.times(calls))
	case signal.ICECandidate, wire.TypeAck: // one of these is for sixteen of those
		return !c.candidates.take(w.Now, l.candidates.times(calls))
	}
	return !c.others.take(w.Now, l.others.times(calls))
}

// allowViolation reports whether the client may once more do something over a limit without losing its connection.
func (c *conn) allowViolation(w *wsconn.Batch) bool {
	c.violationsMu.Lock()
	defer c.violationsMu.Unlock()
	return c.violations.take(w.Now, maxViolations)
}

// refuseViolation refuses a message over a limit: with an error, and after too many of them with the end.
func (c *conn) refuseViolation(w *wsconn.Batch, code, text, name string) error {
	if !c.allowViolation(w) {
		return &closeError{signal.CloseRateLimited, code, text}
	}
	c.server.metrics.limited(code)
	if c.dialect != signal.DialectRelay || c.wantErrors {
		c.reply(w, wire.AppendError(nil, code, text, name))
	}
	return nil
}

// sendError sends a client of the call dialect an error about its message.
func (c *conn) sendError(w *wsconn.Batch, code, text, name string) {
	c.reply(w, wire.AppendError(nil, code, text, name))
}

// now is the time since the server began, which no change of the clock disturbs.
func (s *Server) now() int64 { return int64(time.Since(s.began)) }
