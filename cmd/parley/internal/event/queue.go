package event

import (
	"sync"
	"time"
)

// queue runs writes in the background, in order, so that a reader that stalls blocks no call. Its
// goroutine runs while there is something to write.
type queue struct {
	limit   int           // of size
	abandon chan struct{} // closed by close: nobody waits for writes any more

	mu      sync.Mutex // guards all below
	writes  []write
	size    int // of writes, in bytes
	running bool
	idle    chan struct{} // closed when the goroutine returns, nil before the first
	closed  bool
}

// write is a piece of output.
type write struct {
	size   int
	status bool // a status line, which a later one replaces
	do     func()
}

func newQueue(limit int) *queue { return &queue{limit: limit, abandon: make(chan struct{})} }

func (q *queue) run() {
	for {
		q.mu.Lock()
		if len(q.writes) == 0 {
			q.running, q.writes = false, nil
			close(q.idle)
			q.mu.Unlock()
			return
		}
		w := q.writes[0]
		q.writes[0] = write{}
		q.writes, q.size = q.writes[1:], q.size-w.size
		q.mu.Unlock()
		w.do()
	}
}

// append queues a write. The caller holds the lock.
func (q *queue) append(w write) {
	q.writes, q.size = append(q.writes, w), q.size+w.size
	if !q.running {
		q.running, q.idle = true, make(chan struct{})
		go q.run()
	}
}

// add queues a write, and reports whether there was room for it.
func (q *queue) add(w write) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	last := len(q.writes) - 1
	switch {
	case q.closed, q.size+w.size > q.limit:
		return false
	case w.status && last >= 0 && q.writes[last].status:
		q.size += w.size - q.writes[last].size
		q.writes[last] = w
	default:
		q.append(w)
	}
	return true
}

// addAndWait queues a write, and waits until it is done or the queue is closed.
func (q *queue) addAndWait(do func()) {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return
	}
	written := make(chan struct{})
	q.append(write{do: func() { do(); close(written) }})
	q.mu.Unlock()
	select {
	case <-written:
	case <-q.abandon:
	}
}

// close queues a last write, nil for none, and reports whether everything is written within a time.
func (q *queue) close(last func(), within time.Duration) bool {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return true
	}
	if last != nil {
		q.append(write{do: last})
	}
	q.closed = true
	idle, running := q.idle, q.running
	q.mu.Unlock()
	defer close(q.abandon)
	if !running {
		return true
	}
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	select {
	case <-idle:
		return true
	case <-timeout.C:
		return false
	}
}
