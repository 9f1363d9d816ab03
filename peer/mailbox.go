package peer

import (
	"slices"
	"sync"
)

// mailbox is the queue between Pion's callbacks and the one goroutine of a
// call. Posting never waits, because a callback may run inside a call that the
// goroutine itself made; data from the network, which is not bounded by the
// protocol, waits for room instead (postData), which SCTP's flow control then
// passes on to the sender. The goroutine of a call must not wait for one that
// posts data, unless that has been told to give up.
type mailbox struct {
	ready chan struct{} // holds a token while there may be something to take
	room  chan struct{} // holds a token for each entry of queue that came by postData
	done  chan struct{} // closed when nobody takes any more

	mu    sync.Mutex // guards the following
	queue []any
	over  bool
}

// maxQueuedData is how many data-channel messages wait for the call.
const maxQueuedData = 64

func newMailbox() *mailbox {
	return &mailbox{ready: make(chan struct{}, 1), done: make(chan struct{}), room: make(chan struct{}, maxQueuedData)}
}

// post appends v and returns; after close it does nothing.
func (m *mailbox) post(v any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.over {
		return
	}
	m.queue = append(m.queue, v)
	select {
	case m.ready <- struct{}{}:
	default:
	}
}

// postData appends a message of a data channel once there is room for it, unless
// nobody wants it any more: then abandoned is closed.
func (m *mailbox) postData(v any, abandoned <-chan struct{}) {
	select {
	case m.room <- struct{}{}:
		m.post(queuedData{v})
	case <-abandoned:
	case <-m.done:
	}
}

// queuedData is an entry of the queue that came by postData.
type queuedData struct{ v any }

// take returns what has come since the last take, oldest first.
func (m *mailbox) take() []any {
	m.mu.Lock()
	defer m.mu.Unlock()
	taken := m.queue
	m.queue = nil
	for i, v := range taken {
		if data, ok := v.(queuedData); ok {
			taken[i] = data.v
			<-m.room
		}
	}
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
}
