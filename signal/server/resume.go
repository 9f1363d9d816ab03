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

// resumeState is what outlives the connection of a session that can be resumed: its messages that
// are not acknowledged yet, and the number of the last message received.
type resumeState struct {
	id     cluster.SessionID // in the resume token
	secret [sha256.Size]byte // hashed
	server *Server

	// serveMu is held while a message of this client is served: a connection that takes over waits
	// until the one before is done.
	serveMu sync.Mutex

	mu          sync.Mutex // guards what follows
	conn        *conn      // nil while the client is away
	expired     bool       // the session has ended, or is about to
	sequence    wire.Sequence
	sent        uint64      // bytes of all messages, as frames
	extraQueue  int         // bytes that may be unacknowledged in addition to Options.MaxQueue
	expiryTimer *time.Timer // ends the session; set while the client is away
}

const (
	resumeSecretBytes = 24
	resumeTokenBytes  = resumeSecretBytes + len(cluster.NodeID{}) + 8
)

// newResumeState returns the state for a client and the token to resume with: a secret that is kept
// nowhere else, and the ID, which names the node.
func newResumeState(s *Server, id cluster.SessionID, c *conn) (r *resumeState, token string) {
	r = &resumeState{server: s, id: id, conn: c}
	raw := make([]byte, resumeSecretBytes, resumeTokenBytes)
	_, _ = rand.Read(raw) // never fails (crypto/rand)
	r.secret = sha256.Sum256(raw)
	raw = append(raw, id.Node[:]...)
	return r, base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(raw, id.Number))
}

// parseResumeToken takes a resume token apart.
func parseResumeToken(token string) (id cluster.SessionID, secret []byte, ok bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != resumeTokenBytes {
		return id, nil, false
	}
	secret, raw = raw[:resumeSecretBytes], raw[resumeSecretBytes:]
	copy(id.Node[:], raw)
	id.Number = binary.BigEndian.Uint64(raw[len(id.Node):])
	return id, secret, true
}

// verify reports whether secret is that of the token, in a time that does not depend on it.
func (r *resumeState) verify(secret []byte) bool {
	hashed := sha256.Sum256(secret)
	return subtle.ConstantTimeCompare(hashed[:], r.secret[:]) == 1
}

// send numbers a frame, keeps it until it is acknowledged, and queues it if the client is there.
func (r *resumeState) send(w *wsconn.Batch, frame []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.expired {
		return
	}
	frame = r.sequence.Next(frame)
	r.sent += uint64(len(frame) + maxFrameHeader)
	if _, size := r.sequence.Unacked(); size > r.server.opts.MaxQueue+r.extraQueue {
		r.overflowLocked()
		return
	}
	if r.conn != nil {
		r.conn.Send(w, frame)
	}
}

// backlog returns what waits until the client acknowledges it.
func (r *resumeState) backlog() wsconn.Backlog {
	r.mu.Lock()
	defer r.mu.Unlock()
	messages, waiting := r.sequence.Unacked()
	waiting += messages * maxFrameHeader
	return wsconn.Backlog{Waiting: waiting, Limit: r.server.opts.MaxQueue + r.extraQueue, Written: r.sent - uint64(waiting)}
}

// growQueue sets the number of bytes that may wait for the client in addition to Options.MaxQueue,
// unless it is larger already.
func (r *resumeState) growQueue(extra int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.extraQueue = max(r.extraQueue, extra)
	if r.conn != nil {
		r.conn.GrowQueue(r.extraQueue)
	}
}

// overflowLocked gives up a client that acknowledges nothing, or stays away for too many messages.
func (r *resumeState) overflowLocked() {
	r.expired = true
	r.sequence.Discard()
	switch {
	case r.conn != nil:
		r.conn.AbortSlow()
	case r.expiryTimer != nil && r.expiryTimer.Stop():
		r.expiryTimer.Reset(0)
	}
}

// accept takes the numbers of a message of the client. It reports whether the message is to be
// served: not one that was served before.
func (r *resumeState) accept(w *wsconn.Batch, seq, ack uint64) (serve bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	isNew, inOrder := r.sequence.Check(seq)
	if !inOrder || !r.sequence.Acknowledge(ack) {
		return false, &closeError{signal.CloseBadSequence, signal.CodeBadMessage, "the numbers of the messages are not in sequence"}
	}
	if isNew && r.sequence.Receive(seq, 0) && r.conn != nil {
		if received, ok := r.sequence.Ack(); ok {
			r.conn.Send(w, wire.AppendAck(nil, received))
		}
	}
	return isNew, nil
}

// detach is called when a connection has ended. It reports whether it was the client's latest: then
// the session waits for d, and end is called if the client has not resumed by then.
func (r *resumeState) detach(c *conn, d time.Duration, end func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn != c {
		return false
	}
	r.conn = nil
	if r.expired {
		d = 0
	}
	r.server.wait.Add(1)
	r.expiryTimer = time.AfterFunc(d, func() {
		defer r.server.wait.Done()
		if r.expire() {
			end()
		}
	})
	return true
}

// end ends the state with its connection. It reports whether c was the client's latest.
func (r *resumeState) end(c *conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn != c {
		return false
	}
	r.expired, r.conn = true, nil
	return true
}

// stop ends the wait for the client, if there is one.
func (r *resumeState) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expired = true
	r.stopLocked()
}

// abandon ends the wait for a client whose session is no more.
func (r *resumeState) abandon() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn == nil {
		r.expired = true
		r.stopLocked()
	}
}

// expire ends the state if the client is still away.
func (r *resumeState) expire() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn != nil {
		return false
	}
	r.expired = true
	return true
}

// resume makes c the client's connection. It sends reply, and then all that the client has not
// acknowledged. It returns the connection before, which may not have noticed yet that it has ended.
// serveMu is held.
func (r *resumeState) resume(w *wsconn.Batch, c *conn, ack uint64, reply func(received uint64) []byte) (old *conn, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.expired {
		return nil, false
	}
	replay, ok := r.sequence.Resume(ack)
	if !ok {
		return nil, false
	}
	r.stopLocked()
	old, r.conn = r.conn, c
	c.GrowQueue(r.extraQueue)
	c.Send(w, reply(r.sequence.Received()))
	for _, frame := range replay {
		c.Resend(w, frame)
	}
	return old, true
}

func (r *resumeState) stopLocked() {
	if r.expiryTimer != nil && r.expiryTimer.Stop() {
		r.server.wait.Done()
	}
	r.expiryTimer = nil
}

// connection returns the client's connection, nil while it is away.
func (r *resumeState) connection() *conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.conn
}
