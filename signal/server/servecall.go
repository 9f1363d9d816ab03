package server

import (
	"parley/signal/internal/wsconn"

	"parley/signal"
	"parley/signal/internal/wire"
)

// serveCall handles a frame of the call dialect.
func (s *Server) serveCall(c *conn, w *wsconn.Batch, req wire.Request) error {
	typ := req.Type()
	s.metrics.received(signal.DialectCall, typ)
	if c.limited(w, typ) {
		name, _ := req.Name()
		return c.refuseViolation(w, signal.CodeRateLimited, "messages of this kind come faster than this server takes them", name)
	}
	switch {
	case typ == "" || typ == wire.TypeAck && c.session == nil:
		c.sendError(w, signal.CodeUnknownType, "Command not found: "+req.TypeText(), "")
		return nil
	case typ == wire.TypeAck:
		return nil // its number has been taken
	case typ == wire.TypeLogin:
		return s.login(c, w, req)
	case c.session == nil:
		c.sendError(w, signal.CodeLoginFirst, "sign in first: send a login with a name", "")
		return nil
	case typ == wire.TypeICEServers:
		return s.renewICEServers(c, w)
	}
	return s.forwardCall(c, w, typ, req)
}

// forwardCall forwards an offer, answer, candidate or leave on. An absent user is reported for an offer, which starts a call, and for an
// answer. Candidates trickle in behind those, so an error for each would only repeat the first.
func (s *Server) forwardCall(c *conn, w *wsconn.Batch, typ signal.Type, req wire.Request) error {
	name, text := req.Name()
	if text != "" {
		c.sendError(w, signal.CodeBadName, "the "+string(typ)+" is for nobody: "+text, "")
		return nil
	}
	if code, text := s.limits.payload().Check(typ, req.Payload); code != "" {
		if code == signal.CodeTooLong {
			return tooLong(text)
		}
		c.sendError(w, code, text, name)
		return nil
	}
	result := c.session.forward(w, typ, name, req.Payload)
	s.countForwarded(typ, result)
	switch result {
	case absent:
		c.sendError(w, signal.CodeAbsent, name+" is not signed in", name)
	case noCall:
		c.sendError(w, signal.CodeNoCall, noCallText(typ, name), name)
	case notLoggedIn:
		c.sendError(w, signal.CodeLoginFirst, "sign in first: send a login with a name", "")
	case tooMany:
		return c.refuseViolation(w, signal.CodeTooManyCalls, tooManyText(name), name)
	}
	return nil
}

// countForwarded counts a message that was not delivered. The others are counted by the session that gets them, except leaves.
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
