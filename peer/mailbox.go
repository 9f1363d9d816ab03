package peer

import (
	"slices"
	"sync"
)

// mailbox is the queue between Pion's callbacks and the one goroutine of a
// call. Posting never waits, because a callback may run inside a call that the
// goroutine itself made; data from the network, which is not bounded by the
// protocol, waits for room instead (postData), which SCTP's flow control then
// passes on to the sender.
type mailbox struct {
	ready chan struct{} // holds a token while there may be something to take
	done  chan struct{} // closed when nobody takes any more

	mu    sync.Mutex // protects following
	queue []any
	data  int // entries of queue that came by postData
	room  *sync.Cond
	over  bool
}

// maxQueuedData is how many data-channel messages wait for the call.
const maxQueuedData = 64

func newMailbox() *mailbox {
	m := &mailbox{ready: make(chan struct{}, 1), done: make(chan struct{})}
	m.room = sync.NewCond(&m.mu)
	return m
}

// post appends v and returns; after close it does nothing.
func (m *mailbox) post(v any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.append(v)
}

// postData appends a message of a data channel once there is room for it.
func (m *mailbox) postData(v any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.data >= maxQueuedData && !m.over {
		m.room.Wait()
	}
	m.data++
	m.append(v)
}

func (m *mailbox) append(v any) {
	if m.over {
		return
	}
	m.queue = append(m.queue, v)
	select {
	case m.ready <- struct{}{}:
	default:
	}
}

// take returns what has come since the last take, oldest first.
func (m *mailbox) take() []any {
	m.mu.Lock()
	defer m.mu.Unlock()
	taken := m.queue
	m.queue, m.data = nil, 0
	m.room.Broadcast()
	return taken
}

// holds tells if something that waits is such.
func (m *mailbox) holds(such func(any) bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.queue, such)
}

// close lets every waiting and later post return without effect.
func (m *mailbox) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.over {
		return
	}
	m.over, m.queue = true, nil
	close(m.done)
	m.room.Broadcast()
}
