package signal

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

// conn is one client at the server: a socket, and after the login a session. At rest it costs one goroutine, which waits in a
// read, and no buffer.
//
// gorilla/websocket makes the upgrade and then lets go: frames in are parsed by reader, which waits without holding memory, and frames
// out are built into queue (outbox.go), so that several leave in one system call and pings never wait for a slow socket.
type conn struct {
	server  *Server
	socket  net.Conn
	raw     syscall.RawConn // beneath socket, if it is plain TCP
	address netip.Addr      // where the client comes from

	// Owned by the reader.
	session    *session // nil before the login
	token      string   // what the upgrade brought, for the login
	dialect    Dialect  // "" before the first frame
	wantErrors bool     // relay: this client asked to be told of errors
	deep       bool     // the reader's stack may have grown since it was new
	offers     bucket
	candidates bucket
	others     bucket
	strikes    bucket

	heard atomic.Bool // something came since the last ping

	// Guarded by wheel.mu.
	slot     int32 // where in the wheel; -1 outside
	awaiting bool  // a ping is out
	pinged   int64 // when it went out

	// Guarded by gate.mu: the queue of those that have not logged in.
	pending      bool
	since        int64
	older, newer *conn

	mu       sync.Mutex // guards what follows
	queue    *buffer    // whole frames that wait to be written; nil at rest
	inFlight int        // bytes being written
	writing  bool       // somebody is going to write: a goroutine, or whoever has this connection among its work's dirty
	closing  bool       // nothing more is queued
	final    bool       // the session ends with this connection: one of the two sides wants it so
	slow     bool       // aborted because the queue was full
	aborted  bool       // every read and write fails from now on
	readDone bool       // the reader has ended; whoever ends last closes the socket
}

// breach ends a connection whose client broke a rule: it is sent an error, unless code is empty, and the close code.
type breach struct {
	close      int
	code, text string
}

func (e *breach) Error() string { return e.text }

// errBye ends the reading of a connection that the client closed.
var errBye = errors.New("the client closed it")

// run reads until the socket ends, then leaves no trace of the connection.
func (c *conn) run(r *reader) {
	err := r.read()
	if err == errRest {
		go c.run(r) // the old stack is given back
		return
	}
	defer c.server.wait.Done()
	s, w := c.server, r.hold()
	var broken *breach
	if errors.As(err, &broken) {
		c.punish(w, broken)
	}
	c.endSession(w) // before the reply to a close frame: whoever sees it finds the name free
	if errors.Is(err, errBye) {
		c.close(w, r.closeCode(), "")
	}
	w.flush()
	s.wheel.remove(c)
	s.gate.leave(c)
	if broken != nil {
		r.linger()
	}
	r.release()
	c.logEnd(err)
}

// endSession ends the session, or leaves it to wait for the client's return.
func (c *conn) endSession(w *work) {
	if c.session == nil {
		return
	}
	c.mu.Lock()
	final := c.final
	c.mu.Unlock()
	c.server.sessionEnds(w, c, final)
}

// punish tells a client which rule it broke, and says good-bye.
func (c *conn) punish(w *work, b *breach) {
	if b.code != "" && (c.dialect != DialectRelay || c.wantErrors) {
		c.send(w, appendError(nil, b.code, b.text, ""))
		c.server.metrics.limited(b.code)
	}
	c.close(w, b.close, cutRunes(b.text, 120))
}

func (c *conn) logEnd(err error) {
	remote := slog.String("remote", c.address.String())
	if c.readEnded() {
		c.server.metrics.disconnected("slow")
		c.server.log.Info("a client that reads too slowly was cut off", remote)
		return
	}
	c.server.metrics.disconnected(endReason(err))
	c.server.log.Debug("connection ended", remote, slog.String("why", printable(err.Error())))
}

// endReason is the label of an ended connection in the metrics.
func endReason(err error) string {
	var broken *breach
	var network net.Error
	switch {
	case errors.Is(err, errBye):
		return "closed"
	case errors.As(err, &broken):
		return "breach"
	case errors.As(err, &network) && network.Timeout():
		return "aborted" // a dead socket, a drain at its limit, a frame that never ended
	}
	return "lost"
}

// half closes the writing side of a socket, where there is one: the client sees the end behind our close frame.
func half(socket net.Conn) {
	if s, ok := socket.(interface{ CloseWrite() error }); ok {
		_ = s.CloseWrite()
	}
}

// linger waits, a bounded time, until the client has seen our close frame: closing a socket that has unread input resets the
// connection, and a reset overtakes the frame.
func (r *reader) linger() {
	c := r.c
	c.mu.Lock()
	written := !c.writing && !c.aborted
	if !c.aborted {
		_ = c.socket.SetReadDeadline(time.Now().Add(closeWait))
	}
	c.mu.Unlock()
	if written && r.broken {
		half(c.socket)
	}
	if r.w != nil && r.broken {
		r.w.start = r.w.end
	}
	for !r.broken { // until the client's own close frame
		f, err := r.next()
		if err != nil || f.opcode == opClose {
			return
		}
	}
	for r.fill() == nil {
		r.w.start = r.w.end
	}
}

// closeReply is the code to answer a close frame with.
func closeReply(payload []byte) (code int, ok bool) {
	switch {
	case len(payload) == 0:
		return websocket.CloseNoStatusReceived, true
	case len(payload) == 1:
		return 0, false
	}
	code = int(payload[0])<<8 | int(payload[1])
	switch {
	case code >= 3000 && code < 5000, code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006:
		return code, true
	}
	return 0, false
}
