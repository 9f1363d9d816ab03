package signal

import "parley/signal/internal/wsconn"

// serveCall handles a frame of the call dialect.
func (s *Server) serveCall(c *conn, w *wsconn.Batch, req Request) error {
	typ := req.Type()
	s.metrics.received(DialectCall, typ)
	if c.limited(w, typ) {
		name, _ := req.Name()
		return c.strike(w, CodeRateLimited, "messages of this kind come faster than this server takes them", name)
	}
	switch {
	case typ == "" || typ == ack && c.session == nil:
		c.complain(w, CodeUnknownType, "Command not found: "+req.TypeText(), "")
		return nil
	case typ == ack:
		return nil // its number has been taken
	case typ == login:
		return s.login(c, w, req)
	case c.session == nil:
		c.complain(w, CodeLoginFirst, "sign in first: send a login with a name", "")
		return nil
	case typ == askICE:
		s.renewICEServers(c, w)
		return nil
	}
	return s.deliver(c, w, typ, req)
}

// deliver passes an offer, answer, candidate or leave on. An absent user is reported for an offer, which starts a call, and for an
// answer. Candidates trickle in behind those, so a complaint about each would only repeat the first.
func (s *Server) deliver(c *conn, w *wsconn.Batch, typ Type, req Request) error {
	name, text := req.Name()
	if text != "" {
		c.complain(w, CodeBadName, "the "+string(typ)+" is for nobody: "+text, "")
		return nil
	}
	if code, text := s.limits.payload().Check(typ, req.Payload); code != "" {
		if code == CodeTooLong {
			return tooLong(text)
		}
		c.complain(w, code, text, name)
		return nil
	}
	v := s.call.deliver(w, c.session, typ, name, req.Payload)
	s.metrics.relayed(typ, v)
	switch v {
	case absent:
		c.complain(w, CodeAbsent, name+" is not signed in", name)
	case noCall:
		c.complain(w, CodeNoCall, noCallText(typ, name), name)
	case nameless:
		c.complain(w, CodeLoginFirst, "sign in first: send a login with a name", "")
	case tooMany:
		return c.strike(w, CodeTooManyCalls, "you or "+name+" are in as many calls as this server allows", name)
	}
	return nil
}

func noCallText(typ Type, name string) string {
	if typ == Answer {
		return "there is no offer of " + name + " to answer"
	}
	return "there is no call with " + name
}
