package server

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"parley/signal"
	"parley/signal/cluster"
	"parley/signal/internal/ratelimit"
	"parley/signal/internal/wire"
	"parley/signal/internal/wsconn"
)

// conn is one client at the server: a connection, and after the login a session.
type conn struct {
	*wsconn.Conn
	server  *Server
	address netip.Addr // where the client comes from

	// Owned by the connection's reader.
	session    *session           // nil before the login
	token      string             // what the upgrade brought, for the login
	presented  cluster.SecretHash // of the session that the client wanted to resume and this node does not have
	dialect    signal.Dialect     // "" before the first frame
	wantErrors bool               // relay: the client requested errors
	offers     ratelimit.Bucket
	candidates ratelimit.Bucket
	others     ratelimit.Bucket

	waiting   atomic.Bool                // the reader waits for something else than the client
	violation atomic.Pointer[closeError] // the error that was sent before the close

	violationsMu sync.Mutex // guards violations
	violations   ratelimit.Bucket

	// Guarded by wheel.mu.
	slot     int32 // where in the wheel; -1 outside
	awaiting bool  // a ping is out

	// Guarded by pendingConns.mu: the queue of those that have not logged in.
	pending      bool
	since        int64
	older, newer *conn
}

// closeError ends a connection whose client broke a rule. The client is sent an error, unless code
// is empty, and the close code.
type closeError struct {
	close      int
	code, text string
}

func (e *closeError) Error() string { return e.text }

// HandleMessage implements wsconn.Handler.
func (c *conn) HandleMessage(w *wsconn.Batch, frame []byte) error {
	if b := c.violation.Load(); b != nil {
		return b
	}
	loggedIn := c.session != nil
	err := c.serve(w, frame)
	if b := c.violation.Load(); b != nil && err == nil {
		err = b
	}
	if !loggedIn && c.session != nil {
		c.ShrinkStack()
	}
	return err
}

// Meter implements wsconn.Handler.
func (c *conn) Meter(w *wsconn.Batch) error {
	if !c.others.Take(w.Now, c.server.limits.others) {
		return &closeError{signal.CloseRateLimited, signal.CodeRateLimited, "too many pings, pongs without a ping, or small fragments"}
	}
	return nil
}

// HandlePong implements wsconn.Handler.
func (c *conn) HandlePong(w *wsconn.Batch, rtt time.Duration) {
	c.server.metrics.pingRTT(rtt)
	if c.session != nil {
		c.session.connected(w)
	}
}

// HandleEnd implements wsconn.Handler. It leaves no trace of the connection.
func (c *conn) HandleEnd(w *wsconn.Batch, err error) {
	broken := closeErrorOf(err)
	if broken != nil && broken != c.violation.Load() {
		c.sendErrorAndClose(w, broken, c.dialect != signal.DialectRelay || c.wantErrors)
	}
	var closed *websocket.CloseError
	byClient := errors.As(err, &closed)
	if c.session != nil { // before the reply to a close frame: a client that sees it finds the name free
		c.server.sessionEnds(w, c, byClient || c.CloseSent() || errors.Is(err, wsconn.ErrSlow))
	}
	if byClient {
		c.close(w, closed.Code, "")
	}
	c.server.wheel.remove(c)
	c.server.pending.remove(c)
	c.server.gate.Leave(c.address)
	c.logEnd(err)
}

// closeErrorOf returns the closeError that ended a connection, nil if it was something else.
func closeErrorOf(err error) *closeError {
	var broken *closeError
	var protocol *wsconn.ProtocolError
	switch {
	case errors.As(err, &broken):
		return broken
	case !errors.As(err, &protocol):
		return nil
	case protocol.Code == websocket.CloseMessageTooBig:
		return &closeError{protocol.Code, signal.CodeTooLong, protocol.Reason}
	}
	return &closeError{close: protocol.Code, text: protocol.Reason}
}

// close queues a close frame. The user's session ends with it.
func (c *conn) close(w *wsconn.Batch, code int, reason string) {
	if c.Close(w, code, reason) {
		c.server.metrics.closed(code)
	}
}

// sendErrorAndClose sends a client the rule that it broke, if it understands that, and the close
// code.
func (c *conn) sendErrorAndClose(w *wsconn.Batch, b *closeError, wantsErrors bool) {
	if b.code != "" && wantsErrors {
		c.Send(w, wire.AppendError(nil, b.code, b.text, ""))
		c.server.metrics.limited(b.code)
	}
	c.close(w, b.close, signal.Truncate(b.text, 120))
}

// closeForViolation does what sendErrorAndClose does, outside of the reader, which handles no
// further message.
func (c *conn) closeForViolation(w *wsconn.Batch, b *closeError, wantsErrors bool) {
	if c.violation.CompareAndSwap(nil, b) {
		c.sendErrorAndClose(w, b, wantsErrors)
	}
}

func (c *conn) logEnd(err error) {
	remote := slog.String("remote", c.address.String())
	c.server.metrics.disconnected(endReason(err))
	if errors.Is(err, wsconn.ErrSlow) {
		c.server.log.Info("a client that reads too slowly was cut off", remote)
		return
	}
	c.server.log.Debug("connection ended", remote, slog.String("why", signal.Printable(err.Error())))
}

// endReason is the label of an ended connection in the metrics.
func endReason(err error) string {
	var closed *websocket.CloseError
	var network net.Error
	switch {
	case errors.Is(err, wsconn.ErrSlow):
		return "slow"
	case errors.As(err, &closed):
		return "closed"
	case closeErrorOf(err) != nil:
		return "breach"
	case errors.As(err, &network) && network.Timeout():
		return "aborted" // a dead socket, a drain at its limit, a frame that never ended
	}
	return "lost"
}
