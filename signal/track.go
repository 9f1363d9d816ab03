package signal

import (
	"sync"
	"time"
)

// track is a client's side of a line: what it needs to come back after its connection broke, such that each message arrives exactly
// once and in order.
type track struct {
	room chan struct{} // holds a token when a confirmation has come
	due  chan struct{} // holds a token when the server should be told what has arrived

	mu      sync.Mutex // guards what follows
	ticket  string     // "" while the server does not let us come back
	name    string     // of the latest login
	wait    time.Duration
	sent    uint64
	heard   uint64
	told    uint64 // what of heard the server knows
	fresh   int    // bytes that came since it was told
	unacked []numbered
}

const (
	// window is how many messages may be unconfirmed; the server confirms every sixteenth at least.
	window = 4 * ackEvery
	// ackBytes is after how many bytes the server is told, because it keeps them until then.
	ackBytes = 32 << 10
)

func newTrack() *track {
	return &track{room: make(chan struct{}, 1), due: make(chan struct{}, 1)}
}

// begin starts the numbers anew, for the session that ticket opens.
func (t *track) begin(ticket string, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ticket, t.wait = ticket, wait
	t.sent, t.heard, t.told, t.fresh, t.unacked = 0, 0, 0, 0, nil
}

func (t *track) setName(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.name = name
}

// state returns what a client that comes back has to tell.
func (t *track) state() (ticket, name string, wait time.Duration, heard uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ticket, t.name, t.wait, t.heard
}

// full reports whether nothing more may be sent before a confirmation has come.
func (t *track) full() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.unacked) >= window
}

// number gives a frame its number, and keeps it until it is confirmed.
func (t *track) number(frame []byte) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ticket == "" {
		return frame
	}
	t.sent++
	frame = appendNumbers(nil, frame, t.sent, t.heard)
	t.told, t.fresh = t.heard, 0
	t.unacked = append(t.unacked, numbered{t.sent, frame})
	return frame
}

// arrived takes the numbers of a frame from the server. It reports whether the frame is new. It counts as heard only with deliver.
func (t *track) arrived(seq, ack uint64) (isNew, inOrder bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ticket == "" {
		return true, true
	}
	if ack <= t.sent {
		t.confirmLocked(ack)
	}
	return seq == 0 || seq > t.heard, seq <= t.heard+1
}

// delivered notes that the frame with this number has reached the owner's queue.
func (t *track) delivered(seq uint64, size int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ticket == "" || seq == 0 {
		return
	}
	t.heard = seq
	if t.fresh += size; t.heard-t.told >= ackEvery || t.fresh >= ackBytes {
		signalOne(t.due)
	}
}

func (t *track) confirmLocked(ack uint64) {
	i := 0
	for i < len(t.unacked) && t.unacked[i].number <= ack {
		i++
	}
	if i > 0 {
		t.unacked = t.unacked[i:]
		signalOne(t.room)
	}
}

// ack returns the frame that tells the server what has arrived, nil if it knows.
func (t *track) ack(w wire) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ticket == "" || t.told == t.heard {
		return nil
	}
	t.told, t.fresh = t.heard, 0
	return w.ack(t.heard)
}

// back takes the server's word for what has arrived there, and returns what has to be sent again.
func (t *track) back(ack uint64) (again [][]byte, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if ack > t.sent || ack < t.sent-uint64(len(t.unacked)) {
		return nil, false
	}
	t.confirmLocked(ack)
	t.told, t.fresh = t.heard, 0
	for _, n := range t.unacked {
		again = append(again, n.frame)
	}
	return again, true
}

// signalOne puts a token into a channel that has room for one, unless it is there.
func signalOne(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
