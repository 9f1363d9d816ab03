package server

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"sync"
	"time"

	"parley/signal/internal/wsconn"

	"parley/signal"
	"parley/signal/cluster"
	"parley/signal/internal/wire"
)

// line is what a session has that outlives its connection: what was sent and not confirmed yet, and how far the client was heard. Every
// message in either direction has a number; whoever comes back says which was the last that arrived, and the other repeats
// what follows it. So each message arrives exactly once and in order.
type line struct {
	id     cluster.SessionID // in the resume token
	secret [sha256.Size]byte // hashed
	server *Server

	// turn is held while a message of this client is served: a connection that takes over waits until the one before is done.
	turn sync.Mutex

	mu         sync.Mutex // guards what follows
	conn       *conn      // nil while the client is away
	over       bool       // the session has ended, or is about to
	sent       uint64     // the number of the last message to the client
	heard      uint64     // the number of the last message of the client
	told       uint64     // what of heard the client knows
	unacked    []numbered
	bytes      int
	extraQueue int         // bytes that may wait in addition to Options.MaxQueue
	away       *time.Timer // ends the session; set while the client is away
}

type numbered struct {
	number uint64
	frame  []byte
}

const (
	lineSecret = 24 // bytes
	tokenBytes = lineSecret + len(cluster.NodeID{}) + 8
	// ackEvery is the number of messages after which they are confirmed, if nothing was sent that does it by the way.
	ackEvery = 16
)

// newLine returns a line for a client and the token to resume with: a secret that is kept nowhere else, and the ID, which names the
// node.
func newLine(s *Server, id cluster.SessionID, c *conn) (l *line, token string) {
	l = &line{server: s, id: id, conn: c}
	raw := make([]byte, lineSecret, tokenBytes)
	_, _ = rand.Read(raw) // never fails (crypto/rand)
	l.secret = sha256.Sum256(raw)
	raw = append(raw, id.Node[:]...)
	return l, base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(raw, id.Number))
}

// parseResumeToken takes a resume token apart.
func parseResumeToken(token string) (id cluster.SessionID, secret []byte, ok bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != tokenBytes {
		return id, nil, false
	}
	secret, raw = raw[:lineSecret], raw[lineSecret:]
	copy(id.Node[:], raw)
	id.Number = binary.BigEndian.Uint64(raw[len(id.Node):])
	return id, secret, true
}

// opens reports whether secret is that of the line, in a time that does not depend on it.
func (l *line) opens(secret []byte) bool {
	hashed := sha256.Sum256(secret)
	return subtle.ConstantTimeCompare(hashed[:], l.secret[:]) == 1
}

// send numbers a frame, keeps it until it is confirmed, and queues it if the client is there.
func (l *line) send(w *wsconn.Batch, frame []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return
	}
	l.sent++
	n := numbered{l.sent, wire.AppendNumbers(nil, frame, l.sent, l.heard)}
	l.told = l.heard
	if l.bytes += len(n.frame); l.bytes > l.server.opts.MaxQueue+l.extraQueue {
		l.overflowLocked()
		return
	}
	l.unacked = append(l.unacked, n)
	if l.conn != nil {
		l.conn.Send(w, n.frame)
	}
}

// growQueue sets the number of bytes that may wait for the client in addition to Options.MaxQueue, unless it is larger already.
func (l *line) growQueue(extra int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.extraQueue = max(l.extraQueue, extra)
	if l.conn != nil {
		l.conn.GrowQueue(l.extraQueue)
	}
}

// overflowLocked gives up a client that confirms nothing, or stays away for too many messages.
func (l *line) overflowLocked() {
	l.over, l.unacked, l.bytes = true, nil, 0
	switch {
	case l.conn != nil:
		l.conn.AbortSlow()
	case l.away != nil && l.away.Stop():
		l.away.Reset(0)
	}
}

// accept takes the numbers of a message of the client. It reports whether the message is to be served: not one that was served before.
func (l *line) accept(w *wsconn.Batch, number, ack uint64) (serve bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ack > l.sent || number > l.heard+1 {
		return false, &closeError{signal.CloseBadSequence, signal.CodeBadMessage, "the numbers of the messages are not in sequence"}
	}
	l.confirmLocked(ack)
	if number == 0 {
		return true, nil
	}
	if number <= l.heard {
		return false, nil
	}
	if l.heard = number; l.heard-l.told >= ackEvery && l.conn != nil {
		l.told = l.heard
		l.conn.Send(w, wire.AppendAck(nil, l.heard))
	}
	return true, nil
}

// confirmLocked lets go of what has arrived.
func (l *line) confirmLocked(ack uint64) {
	i := 0
	for i < len(l.unacked) && l.unacked[i].number <= ack {
		l.bytes -= len(l.unacked[i].frame)
		i++
	}
	if l.unacked = l.unacked[i:]; len(l.unacked) == 0 {
		l.unacked = nil
	}
}

// leave is called when a connection has ended. It reports whether it was the client's latest: then the session waits for d, and
// end is called if nobody has come back by then.
func (l *line) leave(c *conn, d time.Duration, end func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != c {
		return false
	}
	l.conn = nil
	if l.over {
		d = 0
	}
	l.server.wait.Add(1)
	l.away = time.AfterFunc(d, func() {
		defer l.server.wait.Done()
		if l.expire() {
			end()
		}
	})
	return true
}

// end ends the line with its connection. It reports whether c was the client's latest.
func (l *line) end(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != c {
		return false
	}
	l.over, l.conn = true, nil
	return true
}

// stop ends the wait for the client, if there is one.
func (l *line) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.stopLocked()
}

// abandon ends the wait for a client whose session is no more.
func (l *line) abandon() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil {
		l.over = true
		l.stopLocked()
	}
}

// expire ends the line if the client is still away.
func (l *line) expire() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		return false
	}
	l.over = true
	return true
}

// resume makes c the client's connection: reply, and then all that it has not confirmed. It returns the connection before, which may
// not have noticed yet that it has ended. Turn is held.
func (l *line) resume(w *wsconn.Batch, c *conn, ack uint64, reply func(heard uint64) []byte) (old *conn, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || ack > l.sent || ack < l.sent-uint64(len(l.unacked)) {
		return nil, false
	}
	l.stopLocked()
	old, l.conn, l.told = l.conn, c, l.heard
	l.confirmLocked(ack)
	c.GrowQueue(l.extraQueue)
	c.Send(w, reply(l.heard))
	for _, n := range l.unacked {
		c.Resend(w, n.frame)
	}
	return old, true
}

func (l *line) stopLocked() {
	if l.away != nil && l.away.Stop() {
		l.server.wait.Done()
	}
	l.away = nil
}

// connection returns the client's connection, nil while it is away.
func (l *line) connection() *conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn
}
