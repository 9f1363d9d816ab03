package client

import (
	"sync"
	"time"

	"parley/signal/internal/wire"
)

// track is what a Client needs to resume its session after its connection broke, such that each message arrives exactly
// once and in order.
type session struct {
	ackReceived chan struct{} // holds a token after an acknowledgment
	ackDue      chan struct{} // holds a token when an acknowledgment is to be sent

	mu            sync.Mutex // guards what follows
	resumeToken   string     // "" while the server does not let the client resume
	name          string     // of the latest login
	resumeTimeout time.Duration
	sequence      wire.Sequence
}

// window is how many messages may be unacknowledged; the server acknowledges every sixteenth at least.
const window = 4 * wire.AckEvery

func newSession() *session {
	return &session{ackReceived: make(chan struct{}, 1), ackDue: make(chan struct{}, 1)}
}

// begin starts a session that can be resumed with ticket, within wait of a loss.
func (t *session) start(ticket string, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.resumeToken, t.resumeTimeout, t.sequence = ticket, wait, wire.Sequence{}
}

func (t *session) setName(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.name = name
}

// resumable reports whether the server lets the client resume.
func (t *session) resumable() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.resumeToken != ""
}

// state returns what a client that resumes sends.
func (t *session) resumeState() (ticket, name string, received uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.resumeToken, t.name, t.sequence.Received()
}

// full reports whether nothing more may be sent before an acknowledgment.
func (t *session) windowFull() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	messages, _ := t.sequence.Unacked()
	return messages >= window
}

// number gives a frame its number, and keeps it until it is acknowledged.
func (t *session) number(frame []byte) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.resumeToken == "" {
		return frame
	}
	return t.sequence.Next(frame)
}

// arrived takes the numbers of a frame from the server. It reports whether the frame is new, and whether none before it
// is missing. The frame counts as received only with delivered.
func (t *session) accept(seq, ack uint64) (isNew, inOrder bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.resumeToken == "" {
		return true, true
	}
	before, _ := t.sequence.Unacked()
	t.sequence.Acknowledge(ack)
	if after, _ := t.sequence.Unacked(); after < before {
		wake(t.ackReceived)
	}
	return t.sequence.Check(seq)
}

// delivered notes that the frame with this number is in the owner's queue.
func (t *session) delivered(seq uint64, size int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.resumeToken != "" && t.sequence.Receive(seq, size) {
		wake(t.ackDue)
	}
}

// ack returns the frame that acknowledges what has arrived, nil if the server knows.
func (t *session) ack(w wire.Codec) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.resumeToken == "" {
		return nil
	}
	number, ok := t.sequence.Ack()
	if !ok {
		return nil
	}
	return w.Ack(number)
}

// back takes the number of the last message that the server has received, and returns the frames to send again.
func (t *session) replayFrom(ack uint64) (again [][]byte, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sequence.Resume(ack)
}

// signalOne puts a token into a channel that has room for one, unless it is there.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
