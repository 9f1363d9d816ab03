package server

import (
	"errors"
	"time"

	"parley/signal"
	"parley/signal/internal/wire"
	"parley/signal/internal/wsconn"
)

// maxViolations is how many messages over a limit are answered with an error only; the third in ten
// seconds closes the connection.
var maxViolations = Rate{PerSecond: 0.1, Burst: 2}.resolve(0, 0)

// errReplaced ends the reading of a connection whose client has come back on another.
var errReplaced = errors.New("the client has come back on another connection")

// serve handles one frame of a client. The first one decides the dialect. An error ends the
// connection.
func (c *conn) serve(w *wsconn.Batch, frame []byte) error {
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
		return c.dispatch(w, req)
	}
	return c.serveResumable(w, req)
}

// serveResumable handles a frame of a client that may come back: each once, and none after it has
// come back elsewhere.
func (c *conn) serveResumable(w *wsconn.Batch, req wire.Request) error {
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
	return c.dispatch(w, req)
}

func (c *conn) dispatch(w *wsconn.Batch, req wire.Request) error {
	if c.dialect == signal.DialectRelay {
		return c.serveRelay(w, req)
	}
	return c.serveCall(w, req)
}

// reply queues a frame for the client itself.
func (c *conn) reply(w *wsconn.Batch, frame []byte) {
	if c.session != nil {
		c.session.send(w, frame)
		return
	}
	c.Send(w, frame)
}

// limited reports whether a message of this type is one too many. The rates are those of one call:
// a user in several calls, such as an answerer that many call at once, may send as much in each.
func (c *conn) limited(w *wsconn.Batch, typ signal.Type) bool {
	l, calls := &c.server.limits, 1
	if c.session != nil {
		calls = max(c.session.callCount(), 1)
	}
	switch typ {
	case signal.Offer, signal.Answer, wire.TypeWatch:
		return !c.offers.Take(w.Now, l.offers.Times(calls))
	case signal.ICECandidate, wire.TypeAck: // one of these is for sixteen of those
		return !c.candidates.Take(w.Now, l.candidates.Times(calls))
	}
	return !c.others.Take(w.Now, l.others.Times(calls))
}

// allowViolation reports whether the client may once more do something over a limit without losing
// its connection.
func (c *conn) allowViolation(w *wsconn.Batch) bool {
	c.violationsMu.Lock()
	defer c.violationsMu.Unlock()
	return c.violations.Take(w.Now, maxViolations)
}

// refuseViolation refuses a message over a limit: with an error, and after too many of them with
// the end.
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

// serveCall handles a frame of the call dialect.
func (c *conn) serveCall(w *wsconn.Batch, req wire.Request) error {
	typ := req.Type()
	c.server.metrics.received(signal.DialectCall, typ)
	if c.limited(w, typ) {
		name, _ := req.Name()
		return c.refuseViolation(w, signal.CodeRateLimited, "messages of this kind come faster than this server takes them", name)
	}
	switch {
	case typ == "" || typ == wire.TypeAck && c.session == nil || typ == wire.TypeWatch && c.server.watcher == nil:
		c.sendError(w, signal.CodeUnknownType, "Command not found: "+req.TypeText(), "")
		return nil
	case typ == wire.TypeAck:
		return nil // its number has been taken
	case c.session != nil && req.Seq != 0 && req.Seq <= c.session.served && !isForwarded(typ):
		return nil // another node has served it
	case typ == wire.TypeLogin:
		return c.login(w, req)
	case c.session == nil:
		c.sendError(w, signal.CodeLoginFirst, "sign in first: send a login with a name", "")
		return nil
	case typ == wire.TypeICEServers:
		return c.renewICEServers(w)
	case typ == wire.TypeWatch:
		return c.watch(w, req)
	}
	return c.forwardCall(w, typ, req)
}

// isForwarded reports whether a message of this type is for another user.
func isForwarded(typ signal.Type) bool {
	switch typ {
	case signal.Offer, signal.Answer, signal.ICECandidate, signal.Leave:
		return true
	}
	return false
}

// forwardCall forwards an offer, answer, candidate or leave. An absent user is reported for an
// offer, which starts a call, and for an answer. Candidates trickle in behind those, so an error
// for each would only repeat the first.
func (c *conn) forwardCall(w *wsconn.Batch, typ signal.Type, req wire.Request) error {
	name, text := req.Name()
	if text != "" {
		c.sendError(w, signal.CodeBadName, "the "+string(typ)+" is for nobody: "+text, "")
		return nil
	}
	if code, text := c.server.limits.payload().Check(typ, req.Payload); code != "" {
		if code == signal.CodeTooLong {
			return tooLong(text)
		}
		c.sendError(w, code, text, name)
		return nil
	}
	result := c.session.forward(w, typ, name, req.Payload, req.Seq)
	c.server.countForwarded(typ, result)
	switch result {
	case absent:
		c.sendError(w, signal.CodeAbsent, name+" is not signed in", name)
	case unavailable:
		c.sendError(w, signal.CodeUnavailable, unavailableText(name), name)
	case noCall:
		c.sendError(w, signal.CodeNoCall, noCallText(typ, name), name)
	case notLoggedIn:
		c.sendError(w, signal.CodeLoginFirst, "sign in first: send a login with a name", "")
	case tooMany:
		return c.refuseViolation(w, signal.CodeTooManyCalls, tooManyText(name), name)
	}
	return nil
}

// countForwarded counts a message that was not delivered. The others are counted by the session
// that gets them, except leaves.
func (s *Server) countForwarded(typ signal.Type, result deliveryResult) {
	if result != delivered || typ == signal.Leave {
		s.metrics.relayed(typ, result)
	}
}

func noCallText(typ signal.Type, name string) string {
	if typ == signal.Answer {
		return "there is no offer of " + name + " to answer"
	}
	return "there is no call with " + name
}

// serveRelay handles a frame of the relay dialect, whose clients get errors only if they requested
// them.
func (c *conn) serveRelay(w *wsconn.Batch, req wire.Request) error {
	inst := req.Inst()
	typ, text, ok := wire.Relayed(req.Payload)
	switch inst {
	case "send":
	case "ack":
		typ = wire.TypeAck
	case "iceServers":
		typ = wire.TypeICEServers
	case "watch":
		typ = wire.TypeWatch
	default:
		typ = ""
	}
	c.server.metrics.received(signal.DialectRelay, typ)
	if c.limited(w, typ) {
		return c.refuseViolation(w, signal.CodeRateLimited, "messages of this kind come faster than this server takes them", "")
	}
	switch {
	case inst == "init":
		c.wantErrors = req.Errors
		return c.login(w, req)
	case inst == "send" && ok:
		return c.forwardRelay(w, typ, text, req)
	case inst == "send":
		c.sendErrorIfWanted(w, signal.CodeBadMessage, "a message of the types login, iceServers, expiring, watch, error and ack comes from the server alone", "")
	case inst == "iceServers" && c.session == nil:
		c.sendErrorIfWanted(w, signal.CodeLoginFirst, "sign in first: send an init with an id", "")
	case inst == "iceServers":
		return c.renewICEServers(w)
	case inst == "watch" && c.server.watcher != nil && c.session == nil:
		c.sendErrorIfWanted(w, signal.CodeLoginFirst, "sign in first: send an init with an id", "")
	case inst == "watch" && c.server.watcher != nil:
		return c.watch(w, req)
	case inst == "ack": // its number has been taken
	default:
		c.sendErrorIfWanted(w, signal.CodeUnknownType, "inst is neither init nor send", "")
	}
	return nil
}

// sendErrorIfWanted sends a client of the relay dialect an error about its message, if it asked for
// errors.
func (c *conn) sendErrorIfWanted(w *wsconn.Batch, code, text, name string) {
	if c.wantErrors {
		c.reply(w, wire.AppendError(nil, code, text, name))
	}
}

// forwardRelay forwards a message of the relay dialect.
func (c *conn) forwardRelay(w *wsconn.Batch, typ signal.Type, text []byte, req wire.Request) error {
	name, wrong := req.Name()
	if wrong != "" {
		c.sendErrorIfWanted(w, signal.CodeBadName, "the message is for nobody: "+wrong, "")
		return nil
	}
	if !wire.IsObject(req.Payload) {
		c.sendErrorIfWanted(w, signal.CodeBadMessage, "a send needs message: an object", name)
		return nil
	}
	if !c.server.limits.payload().CheckRelayed(typ, text, req.Payload) {
		return tooLong("the session description or candidate is longer than this server takes")
	}
	result := notLoggedIn
	if c.session != nil {
		result = c.session.forward(w, typ, name, req.Payload, req.Seq)
	}
	c.server.countForwarded(typ, result)
	switch result {
	case absent:
		c.sendErrorIfWanted(w, signal.CodeAbsent, name+" is not signed in", name)
	case unavailable:
		c.sendErrorIfWanted(w, signal.CodeUnavailable, unavailableText(name), name)
	case noCall:
		c.sendErrorIfWanted(w, signal.CodeNoCall, "the call with "+name+" has ended; the next begins with an offer", name)
	case notLoggedIn:
		c.sendErrorIfWanted(w, signal.CodeLoginFirst, "sign in first: send an init with an id", "")
	case tooMany:
		return c.refuseViolation(w, signal.CodeTooManyCalls, tooManyText(name), name)
	}
	return nil
}
