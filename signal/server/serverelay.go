package server

import (
	"parley/signal/internal/wsconn"

	"parley/signal"
	"parley/signal/internal/wire"
)

// serveRelay handles a frame of the relay dialect, whose clients hear of errors only if they asked to.
func (s *Server) serveRelay(c *conn, w *wsconn.Batch, req wire.Request) error {
	inst := req.Inst()
	typ, text, ok := wire.Relayed(req.Payload)
	switch inst {
	case "send":
	case "ack":
		typ = wire.TypeAck
	case "iceServers":
		typ = wire.TypeICEServers
	default:
		typ = ""
	}
	s.metrics.received(signal.DialectRelay, typ)
	if c.limited(w, typ) {
		return c.strike(w, signal.CodeRateLimited, "messages of this kind come faster than this server takes them", "")
	}
	switch {
	case inst == "init":
		c.wantErrors = req.Errors
		return s.login(c, w, req)
	case inst == "send" && ok:
		return s.pass(c, w, typ, text, req)
	case inst == "send":
		c.confide(w, signal.CodeBadMessage, "a message of the types login, iceServers, expiring, error and ack comes from the server alone", "")
	case inst == "iceServers" && c.session == nil:
		c.confide(w, signal.CodeLoginFirst, "sign in first: send an init with an id", "")
	case inst == "iceServers":
		return s.renewICEServers(c, w)
	case inst == "ack": // its number has been taken
	default:
		c.confide(w, signal.CodeUnknownType, "inst is neither init nor send", "")
	}
	return nil
}

// confide tells a client of the relay dialect what is wrong, if it wants to know.
func (c *conn) confide(w *wsconn.Batch, code, text, name string) {
	if c.wantErrors {
		c.reply(w, wire.AppendError(nil, code, text, name))
	}
}

// pass delivers a message of the relay dialect.
func (s *Server) pass(c *conn, w *wsconn.Batch, typ signal.Type, text []byte, req wire.Request) error {
	name, wrong := req.Name()
	if wrong != "" {
		c.confide(w, signal.CodeBadName, "the message is for nobody: "+wrong, "")
		return nil
	}
	if !wire.IsObject(req.Payload) {
		c.confide(w, signal.CodeBadMessage, "a send needs message: an object", name)
		return nil
	}
	if !s.limits.payload().CheckRelayed(typ, text, req.Payload) {
		return tooLong("the session description or candidate is longer than this server takes")
	}
	result := notLoggedIn
	if c.session != nil {
		result = c.session.forward(w, typ, name, req.Payload)
	}
	s.countForwarded(typ, result)
	switch result {
	case absent:
		c.confide(w, signal.CodeAbsent, name+" is not signed in", name)
	case noCall:
		c.confide(w, signal.CodeNoCall, "the call with "+name+" has ended; the next begins with an offer", name)
	case notLoggedIn:
		c.confide(w, signal.CodeLoginFirst, "sign in first: send an init with an id", "")
	case tooMany:
		return c.strike(w, signal.CodeTooManyCalls, tooManyText(name), name)
	}
	return nil
}
