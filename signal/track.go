package signal

import (
	"sync"
	"time"
)

// track is what a Client needs to resume its session after its connection broke, such that each message arrives exactly
// once and in order.
type track struct {
	room chan struct{} // holds a token after an acknowledgment
	due  chan struct{} // holds a token when an acknowledgment is to be sent

	mu       sync.Mutex // guards what follows
	ticket   string     // "" while the server does not let the client resume
	name     string     // of the latest login
	wait     time.Duration
	sequence Sequence
}

// window is how many messages may be unacknowledged; the server acknowledges every sixteenth at least.
const window = 4 * AckEvery

func newTrack() *track {
	return &track{room: make(chan struct{}, 1), due: make(chan struct{}, 1)}
}

// begin starts a session that can be resumed with ticket, within wait of a loss.
func (t *track) begin(ticket string, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ticket, t.wait, t.sequence = ticket, wait, Sequence{}
}

func (t *track) setName(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.name = name
}

// resumable reports whether the server lets the client resume.
func (t *track) resumable() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ticket != ""
}

// state returns what a client that resumes sends.
func (t *track) state() (ticket, name string, received uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ticket, t.name, t.sequence.Received()
}

// full reports whether nothing more may be sent before an acknowledgment.
func (t *track) full() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	messages, _ := t.sequence.Unacked()
	return messages >= window
}

// number gives a frame its number, and keeps it until it is acknowledged.
func (t *track) number(frame []byte) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ticket == "" {
		return frame
	}
	return t.sequence.Next(frame)
}

// arrived takes the numbers of a frame from the server. It reports whether the frame is new, and whether none before it
// is missing. The frame counts as received only with delivered.
func (t *track) arrived(seq, ack uint64) (isNew, inOrder bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ticket == "" {
		return true, true
	}
	before, _ := t.sequence.Unacked()
	t.sequence.Acknowledge(ack)
	if after, _ := t.sequence.Unacked(); after < before {
		signalOne(t.room)
	}
	return t.sequence.Check(seq)
}

// delivered notes that the frame with this number is in the owner's queue.
func (t *track) delivered(seq uint64, size int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ticket != "" && t.sequence.Receive(seq, size) {
		signalOne(t.due)
	}
}

// ack returns the frame that acknowledges what has arrived, nil if the server knows.
func (t *track) ack(w wire) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ticket == "" {
		return nil
	}
	number, ok := t.sequence.Ack()
	if !ok {
		return nil
	}
	return w.ack(number)
}

// back takes the number of the last message that the server has received, and returns the frames to send again.
func (t *track) back(ack uint64) (again [][]byte, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sequence.Resume(ack)
}

// signalOne puts a token into a channel that has room for one, unless it is there.
func signalOne(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
