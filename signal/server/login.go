package server

import (
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/gorilla/websocket"

	"parley/signal/internal/wsconn"

	"parley/signal"
	"parley/signal/cluster"
	"parley/signal/internal/admission"
	"parley/signal/internal/wire"
)

// authWait bounds the decision of an Authorizer that does not bound itself.
const authWait = 10 * time.Second

// login handles a login of the call dialect and an init of the relay dialect.
func (c *conn) login(w *wsconn.Batch, req wire.Request) error {
	h := c.server.hubOf(c.dialect)
	if c.session != nil {
		if _, ok := c.server.expiries.left(c.session, c.server.now()); !ok {
			return &closeError{close: signal.CloseUnauthorized, text: textExpired} // it is being closed
		}
	}
	if token, ok := req.ResumeToken(); ok {
		return c.resume(w, h, token, req)
	}
	name, text := req.Name()
	if text != "" {
		c.refuseLogin(w, req, signal.CodeBadName, text)
		return nil
	}
	renews := c.server.opts.Auth != nil && c.session != nil && (name == c.session.asked || name == c.session.heldName())
	identity, err := c.authorize(w, name, req)
	switch {
	case err != nil && renews && c.server.ctx.Err() == nil:
		return nil // the client got the error; its session lasts as long as it did
	case err != nil:
		return err
	}
	reply := wire.LoginGrant{Name: identity.Name, Requested: name, ExpiresIn: untilExpiry(identity)}
	if req.WantsICEServers() {
		c.server.grantICE(&reply, identity)
	}
	if renews && identity.Name == c.session.heldName() {
		return c.renewSession(w, req, reply, identity)
	}
	return c.signIn(w, h, req, reply, identity)
}

// renewSession goes on with a session under a new identity of the same name. Its calls stay.
func (c *conn) renewSession(w *wsconn.Batch, req wire.Request, grant wire.LoginGrant, identity signal.Identity) error {
	if !c.setExpiry(c.session, req, grant.ExpiresIn) {
		return &closeError{close: signal.CloseUnauthorized, text: textExpired}
	}
	c.session.iceServers = identity.ICEServers
	if c.dialect != signal.DialectRelay || req.Reply {
		c.session.send(w, wire.AppendLoginSuccess(nil, grant))
	}
	c.server.metrics.login("renewed")
	return nil
}

// setExpiry sets when a session ends. It reports false for one that has expired already.
func (c *conn) setExpiry(sess *session, req wire.Request, left time.Duration) bool {
	now, at := c.server.now(), int64(0)
	if left > 0 {
		at = now + int64(left)
	}
	return c.server.expiries.set(sess, now, at, c.dialect != signal.DialectRelay || c.wantErrors || req.Reply)
}

// signIn claims the name for a new session, ends the session before, if there is one, and replies.
// An error ends the connection; the client has got the error.
func (c *conn) signIn(w *wsconn.Batch, h *hub, req wire.Request, grant wire.LoginGrant, identity signal.Identity) error {
	before := c.session
	// The session counts until it ends, also while the client is away. A client that changes its
	// name has a place already.
	if c.server.sessions.Add(c.address) != "" && before == nil {
		c.server.sessions.Remove(c.address)
		return c.refuseOverload(w, req)
	}
	sess := &session{
		hub: h, name: grant.Name, conn: c, address: c.address, asked: grant.Requested, iceServers: identity.ICEServers,
		wantErrors: c.wantErrors, probeResult: make(chan bool, 1),
	}
	sess.id = c.server.node.Attach(sess)
	switch {
	case before != nil && before.resumable != nil:
		sess.conn, sess.resumable = nil, before.resumable
	case before == nil && req.WantsResume() && c.server.opts.Resume > 0:
		sess.conn = nil
		sess.resumable, grant.ResumeToken = newResumeState(c.server, sess.id, c)
		grant.ResumeFor = c.server.opts.Resume
	}
	if err := c.claimName(w, sess, before, identity.Subject); err != nil {
		sess.abandon()
		return c.refuseClaim(w, req, grant.Name, err)
	}
	if sess.resumable != nil {
		h.addResumable(sess)
	}
	if before != nil {
		before.end(w, cluster.HungUp)
	}
	sess.start(func() {
		c.setExpiry(sess, req, grant.ExpiresIn)
		switch reply := wire.AppendLoginSuccess(nil, grant); {
		case c.dialect == signal.DialectRelay && !req.Reply: // the original says nothing
		case grant.ResumeToken != "":
			c.Send(w, reply) // the messages that follow it are numbered
		default:
			sess.send(w, reply)
		}
	})
	c.session, c.token, c.presented = sess, "", cluster.SecretHash{}
	c.server.pending.remove(c)
	sess.announce(w)
	c.server.metrics.login("success")
	c.server.log.Debug("signed in", slog.String("dialect", string(c.dialect)), c.server.user(grant.Name))
	return nil
}

// refuseOverload refuses a login from an address with too many sessions.
func (c *conn) refuseOverload(w *wsconn.Batch, req wire.Request) error {
	const text = "too many users are signed in from your address, or may still come back; try again later"
	c.refuseLogin(w, req, signal.CodeOverloaded, text)
	return &closeError{close: signal.CloseOverloaded, text: text}
}

// refuseClaim refuses a login for the result of the claim of its name.
func (c *conn) refuseClaim(w *wsconn.Batch, req wire.Request, name string, err error) error {
	var taken *cluster.TakenError
	switch {
	case errors.As(err, &taken):
		c.refuseLogin(w, req, signal.CodeTaken, name+" is signed in already")
		return nil
	case c.server.ctx.Err() != nil: // the server closes, and says so itself
		return &closeError{close: websocket.CloseGoingAway, text: goingAway}
	}
	c.server.log.Warn("a name could not be claimed", slog.Any("error", err))
	c.refuseLogin(w, req, signal.CodeUnavailable, "whether this name is free cannot be found out now; try again later")
	return &closeError{close: signal.CloseOverloaded, text: "the name could not be claimed"}
}

// refuseLogin sends the refusal of a login, in the relay dialect only if the client requested a
// reply or errors.
func (c *conn) refuseLogin(w *wsconn.Batch, req wire.Request, code, text string) {
	c.server.metrics.login(code)
	switch {
	case c.dialect != signal.DialectRelay || req.Reply:
		c.reply(w, wire.AppendLoginRefusal(nil, code, text))
	case c.wantErrors:
		c.reply(w, wire.AppendError(nil, code, text, ""))
	}
}

// authorize asks the Authorizer, if there is one. An error ends the connection; the client has got
// the error.
func (c *conn) authorize(w *wsconn.Batch, name string, req wire.Request) (signal.Identity, error) {
	if c.server.opts.Auth == nil {
		return signal.Identity{Name: name}, nil
	}
	if err := c.throttle(w, req); err != nil {
		return signal.Identity{}, err
	}
	token := req.Token()
	if token == "" {
		token = c.token
	}
	c.startWaiting(w) // the others do not wait
	defer c.waiting.Store(false)
	grant, err := c.server.authorize(c.server.ctx, signal.LoginRequest{Name: name, Token: token, Address: c.address, Dialect: c.dialect})
	var denied *signal.Denied
	switch {
	case c.server.ctx.Err() != nil: // the server closes, and says so itself
		return grant, &closeError{close: websocket.CloseGoingAway, text: goingAway}
	case errors.As(err, &denied):
		c.refuseLogin(w, req, signal.CodeUnauthorized, signal.Printable(denied.Reason))
		return grant, &closeError{close: signal.CloseUnauthorized, text: "the login was refused"}
	case err != nil:
		c.refuseLogin(w, req, signal.CodeUnavailable, ErrUndecided.Error())
		return grant, &closeError{close: signal.CloseOverloaded, text: "the login could not be decided"}
	}
	return grant, nil
}

// authorize asks the Authorizer. The error is a *signal.Denied, or another one if there is no
// decision.
func (s *Server) authorize(ctx context.Context, r signal.LoginRequest) (signal.Identity, error) {
	r.Token = signal.Truncate(r.Token, admission.MaxToken)
	limited, cancel := context.WithTimeout(ctx, authWait)
	defer cancel()
	grant, err := s.opts.Auth.Authorize(limited, r)
	switch {
	case ctx.Err() != nil:
		return grant, ctx.Err()
	case errors.As(err, new(*signal.Denied)):
		s.gate.LoginFailed(r.Address, s.now())
		s.metrics.authFailure("refused")
		return grant, err
	case err == nil && !grant.Expires.IsZero() && !grant.Expires.After(time.Now()):
		s.metrics.authFailure("expired")
		return grant, &signal.Denied{Reason: "the token has expired"}
	case err == nil && grant.Name != "" && signal.CheckName(grant.Name) != nil:
		err = errors.New("the Authorizer has granted an invalid name")
		fallthrough
	case err != nil:
		s.metrics.authFailure("unavailable")
		s.log.Warn("a login could not be decided and was refused", slog.Any("error", err))
		return grant, err
	case grant.Name == "":
		grant.Name = r.Name
	}
	return grant, nil
}

// throttle refuses an address from which too many logins were refused, before another guess is
// looked at.
func (c *conn) throttle(w *wsconn.Batch, req wire.Request) error {
	if !c.server.throttled(c.address) {
		return nil
	}
	c.refuseLogin(w, req, signal.CodeThrottled, ErrThrottled.Error())
	return &closeError{close: signal.CloseRateLimited, text: "too many logins from this address were refused"}
}

// throttled reports whether too many logins from an address were refused, and counts that.
func (s *Server) throttled(address netip.Addr) bool {
	if !s.gate.Throttled(address, s.now()) {
		return false
	}
	s.metrics.authFailure("throttled")
	return true
}

// grantICE puts the ICE servers of a user into a reply. Their credentials last no longer than the
// session, for which grant.ExpiresIn is left.
func (s *Server) grantICE(reply *wire.LoginGrant, identity signal.Identity) {
	reply.WithICEServers, reply.ICEServers = true, identity.ICEServers
	if s.opts.ICEServers == nil {
		return
	}
	reply.ICELifetime = s.opts.ICEServersFor
	if reply.ExpiresIn > 0 {
		reply.ICELifetime = min(reply.ICELifetime, reply.ExpiresIn)
	}
	reply.ICEServers = append(slices.Clip(identity.ICEServers), s.opts.ICEServers(identity.Name, reply.ICELifetime)...)
}

// renewICEServers answers a client whose credentials are about to expire.
func (c *conn) renewICEServers(w *wsconn.Batch) error {
	name := c.session.heldName()
	left, ok := c.server.expiries.left(c.session, c.server.now())
	switch {
	case !ok:
		return &closeError{close: signal.CloseUnauthorized, text: textExpired}
	case name == "": // taken over
		c.sendErrorIfWanted(w, signal.CodeLoginFirst, "sign in first: send an init with an id", "")
		return nil
	}
	reply := wire.LoginGrant{ExpiresIn: left}
	c.server.grantICE(&reply, signal.Identity{Name: name, ICEServers: c.session.iceServers})
	c.reply(w, wire.AppendICEServers(nil, reply))
	return nil
}

// resume gives a client that has come back its session.
func (c *conn) resume(w *wsconn.Batch, h *hub, token string, req wire.Request) error {
	if c.session != nil {
		c.refuseLogin(w, req, signal.CodeBadMessage, "this connection is signed in already")
		return nil
	}
	if err := c.throttle(w, req); err != nil {
		return err
	}
	id, secret, ok := parseResumeToken(token)
	sess := h.resumableSession(id)
	var left time.Duration
	if ok && sess != nil {
		left, ok = c.server.expiries.left(sess, c.server.now())
	}
	if sess == nil && len(secret) > 0 && id.Node != c.server.node.ID() {
		return c.continueSession(w, h, id, secret, req)
	}
	if !ok || sess == nil {
		c.refuseLogin(w, req, signal.CodeExpired, "the session has ended; sign in anew")
		return nil
	}
	if !sess.resumable.verify(secret) {
		c.server.gate.LoginFailed(c.address, c.server.now())
		c.server.metrics.authFailure("resume")
		c.refuseLogin(w, req, signal.CodeUnauthorized, "this is not the secret of that session")
		return &closeError{close: signal.CloseUnauthorized, text: "the login was refused"}
	}
	grant := wire.LoginGrant{WithICEServers: req.WantsICEServers(), ExpiresIn: left}
	w.Flush() // serving may take a moment
	sess.resumable.serveMu.Lock()
	defer sess.resumable.serveMu.Unlock()
	if renamed := h.resumableSession(id); renamed != nil {
		sess = renamed
	}
	if grant.WithICEServers {
		c.server.grantICE(&grant, signal.Identity{Name: sess.name, ICEServers: sess.iceServers})
	}
	old, ok := sess.resumable.resume(w, c, req.Ack, func(received uint64) []byte { return wire.AppendLoginResumed(nil, grant, received) })
	if !ok {
		c.refuseLogin(w, req, signal.CodeExpired, "the session has ended; sign in anew")
		return nil
	}
	if old != nil {
		old.close(w, signal.CloseReplaced, "this user has come back on another connection")
	}
	c.session, c.token, c.wantErrors = sess, "", true
	sess.resumed(w)
	c.server.pending.remove(c)
	c.server.metrics.login("resumed")
	return nil
}

// sessionEnds ends the session of a connection that has ended, or lets it wait for the client's
// return.
func (s *Server) sessionEnds(w *wsconn.Batch, c *conn, final bool) {
	sess := c.session
	if sess.resumable == nil {
		sess.end(w, s.leaveReason(cluster.HungUp))
		return
	}
	// The session of a client that was sent away can be continued at another node.
	sentAway := s.leaving.Load() && c.CloseSent() && sess.hub.continues()
	if (final || s.leaving.Load()) && !sentAway || sess.heldName() == "" {
		if sess.resumable.end(c) {
			sess.end(w, s.leaveReason(cluster.HungUp))
		}
		return
	}
	sess.resumable.detach(c, s.opts.Resume, func() {
		w := s.newBatch()
		defer w.Release()
		reason := cluster.Disconnected
		if !sess.hub.continues() {
			reason = s.leaveReason(reason)
		}
		sess.end(w, reason)
	})
}

// leaveReason returns reason, or Draining while the server drains or closes.
func (s *Server) leaveReason(reason cluster.Reason) cluster.Reason {
	if s.leaving.Load() {
		return cluster.Draining
	}
	return reason
}

func (s *Server) hubOf(d signal.Dialect) *hub {
	if d == signal.DialectRelay {
		return s.relay
	}
	return s.call
}

// user returns the attribute for a name in the log: a hash, which differs from one run of the
// server to the next.
func (s *Server) user(name string) slog.Attr {
	return slog.String("user", strconv.FormatUint(maphash.String(s.seed, name)>>32, 16))
}

func tooLong(text string) error {
	return &closeError{websocket.CloseMessageTooBig, signal.CodeTooLong, text}
}
