package server

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"sync"
	"time"

	"parley/signal"
	"parley/signal/cluster"
	"parley/signal/internal/wire"
	"parley/signal/internal/wsconn"
)

// line is what outlives the connection of a session that can be resumed: its messages that are not acknowledged yet, and the number
// of the last message received.
type line struct {
	id     cluster.SessionID // in the resume token
	secret [sha256.Size]byte // hashed
	server *Server

	// turn is held while a message of this client is served: a connection that takes over waits until the one before is done.
	turn sync.Mutex

	mu         sync.Mutex // guards what follows
	conn       *conn      // nil while the client is away
	over       bool       // the session has ended, or is about to
	sequence   wire.Sequence
	extraQueue int         // bytes that may be unacknowledged in addition to Options.MaxQueue
	away       *time.Timer // ends the session; set while the client is away
}

const (
	lineSecret = 24 // bytes
	tokenBytes = lineSecret + len(cluster.NodeID{}) + 8
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

// send numbers a frame, keeps it until it is acknowledged, and queues it if the client is there.
func (l *line) send(w *wsconn.Batch, frame []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return
	}
	frame = l.sequence.Next(frame)
	if _, size := l.sequence.Unacked(); size > l.server.opts.MaxQueue+l.extraQueue {
		l.overflowLocked()
		return
	}
	if l.conn != nil {
		l.conn.Send(w, frame)
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

// overflowLocked gives up a client that acknowledges nothing, or stays away for too many messages.
func (l *line) overflowLocked() {
	l.over = true
	l.sequence.Discard()
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
	isNew, inOrder := l.sequence.Check(number)
	if !inOrder || !l.sequence.Acknowledge(ack) {
		return false, &closeError{signal.CloseBadSequence, signal.CodeBadMessage, "the numbers of the messages are not in sequence"}
	}
	if isNew && l.sequence.Receive(number, 0) && l.conn != nil {
		if received, ok := l.sequence.Ack(); ok {
			l.conn.Send(w, wire.AppendAck(nil, received))
		}
	}
	return isNew, nil
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

// resume makes c the client's connection. It sends reply, and then all that the client has not acknowledged. It returns the connection before, which may
// not have noticed yet that it has ended. Turn is held.
func (l *line) resume(w *wsconn.Batch, c *conn, ack uint64, reply func(heard uint64) []byte) (old *conn, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return nil, false
	}
	replay, ok := l.sequence.Resume(ack)
	if !ok {
		return nil, false
	}
	l.stopLocked()
	old, l.conn = l.conn, c
	c.GrowQueue(l.extraQueue)
	c.Send(w, reply(l.sequence.Received()))
	for _, frame := range replay {
		c.Resend(w, frame)
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
