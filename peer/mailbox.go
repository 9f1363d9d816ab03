package peer

import (
	"slices"
	"sync"
)

// A mailbox is the queue between Pion's callbacks and the goroutine of Run. post does not wait,
// because a callback may run inside a function that this goroutine called. postData waits for room,
// so that SCTP's flow control bounds what a peer sends. The goroutine of Run must not wait for a
// goroutine in postData before it has closed abandoned.
type mailbox struct {
	ready chan struct{} // holds a token while there may be something to take
	room  chan struct{} // holds a token for each entry of queue that came by postData
	done  chan struct{} // closed by close

	mu    sync.Mutex // guards the following
	queue []any
	over  bool
}

// maxQueuedData is how many data-channel messages wait for the call.
const maxQueuedData = 64

// newMailbox returns an empty mailbox.
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

// postData appends a message of a data channel when there is room for it, or returns when abandoned
// is closed.
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

// take returns and removes the queued entries, oldest first.
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

// holds reports whether a queued entry satisfies such.
func (m *mailbox) holds(such func(any) bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.queue, such)
}

// close makes all waiting and later posts return without effect. It returns the queued entries.
func (m *mailbox) close() []any {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.over {
		return nil
	}
	queued := m.queue
	m.over, m.queue = true, nil
	close(m.done)
	return queued
}
