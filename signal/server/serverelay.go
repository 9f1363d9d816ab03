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
		return c.refuseViolation(w, signal.CodeRateLimited, "messages of this kind come faster than this server takes them", "")
	}
	switch {
	case inst == "init":
		c.wantErrors = req.Errors
		return s.login(c, w, req)
	case inst == "send" && ok:
		return s.forwardRelay(c, w, typ, text, req)
	case inst == "send":
		c.sendErrorIfWanted(w, signal.CodeBadMessage, "a message of the types login, iceServers, expiring, error and ack comes from the server alone", "")
	case inst == "iceServers" && c.session == nil:
		c.sendErrorIfWanted(w, signal.CodeLoginFirst, "sign in first: send an init with an id", "")
	case inst == "iceServers":
		return s.renewICEServers(c, w)
	case inst == "ack": // its number has been taken
	default:
		c.sendErrorIfWanted(w, signal.CodeUnknownType, "inst is neither init nor send", "")
	}
	return nil
}

// sendErrorIfWanted sends a client of the relay dialect an error about its message, if it asked for errors.
func (c *conn) sendErrorIfWanted(w *wsconn.Batch, code, text, name string) {
	if c.wantErrors {
		c.reply(w, wire.AppendError(nil, code, text, name))
	}
}

// forwardRelay forwards a message of the relay dialect.
func (s *Server) forwardRelay(c *conn, w *wsconn.Batch, typ signal.Type, text []byte, req wire.Request) error {
	name, wrong := req.Name()
	if wrong != "" {
		c.sendErrorIfWanted(w, signal.CodeBadName, "the message is for nobody: "+wrong, "")
		return nil
	}
	if !wire.IsObject(req.Payload) {
		c.sendErrorIfWanted(w, signal.CodeBadMessage, "a send needs message: an object", name)
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
		c.sendErrorIfWanted(w, signal.CodeAbsent, name+" is not signed in", name)
	case noCall:
		c.sendErrorIfWanted(w, signal.CodeNoCall, "the call with "+name+" has ended; the next begins with an offer", name)
	case notLoggedIn:
		c.sendErrorIfWanted(w, signal.CodeLoginFirst, "sign in first: send an init with an id", "")
	case tooMany:
		return c.refuseViolation(w, signal.CodeTooManyCalls, tooManyText(name), name)
	}
	return nil
}
