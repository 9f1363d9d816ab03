package road

import (
	"bytes"
	"container/heap"
	"sync"
	"time"
)

// mostUnderWay bounds what a link holds, in packets; more are lost as on a full
// one.
const mostUnderWay = 1 << 16

// Counts are what has become of the packets of a link.
type Counts struct {
	Sent      int // given to the link
	Lost      int
	Overtook  int
	Doubled   int // copies beyond the first
	Delivered int // copies among them
}

// Link carries packets one way, by its Weather.
type Link struct {
	deliver func([]byte)
	changed chan struct{} // has one element when there is something new to wait for
	done    chan struct{}
	ended   chan struct{}

	mu      sync.Mutex // protects following
	dice    *dice
	waiting queue
	number  uint64
	counts  Counts
}

// NewLink makes a link, of which deliver gets the packets, one at a time on a
// goroutine of the link. Close ends it.
func NewLink(w Weather, deliver func([]byte)) *Link {
	l := &Link{deliver: deliver, changed: make(chan struct{}, 1), done: make(chan struct{}), ended: make(chan struct{}), dice: newDice(w)}
	go l.run()
	return l
}

// Send gives the link a copy of a packet. It does not wait.
func (l *Link) Send(packet []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.Sent++
	after, overtakes := l.dice.fate()
	if len(after) == 0 || len(l.waiting)+len(after) > mostUnderWay {
		l.counts.Lost++
		return
	}
	if overtakes {
		l.counts.Overtook++
	}
	l.counts.Doubled += len(after) - 1
	packet = bytes.Clone(packet)
	for _, d := range after {
		l.number++
		heap.Push(&l.waiting, underWay{time.Now().Add(d), l.number, packet})
	}
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// Counts are those up to now.
func (l *Link) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts
}

// Close ends the link; what is under way is not delivered.
func (l *Link) Close() {
	close(l.done)
	<-l.ended
}

// run delivers until Close.
func (l *Link) run() {
	defer close(l.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-l.done:
			return
		case <-l.changed:
		case <-timer.C:
		}
		for {
			packet, next := l.due(time.Now())
			if packet == nil {
				timer.Reset(next)
				break
			}
			l.deliver(packet)
		}
	}
}

// due takes the next packet that has arrived, or tells when there is one.
func (l *Link) due(now time.Time) (packet []byte, next time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		return nil, time.Hour // until changed
	}
	if next = l.waiting[0].at.Sub(now); next > 0 {
		return nil, next
	}
	l.counts.Delivered++
	return heap.Pop(&l.waiting).(underWay).packet, 0
}

// underWay is one copy of a packet.
type underWay struct {
	at     time.Time
	number uint64
	packet []byte
}

// queue is a heap by time of arrival, and by order where that is the same.
type queue []underWay

func (q queue) Len() int      { return len(q) }
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(underWay)) }
func (q queue) Less(i, j int) bool {
	if q[i].at.Equal(q[j].at) {
		return q[i].number < q[j].number
	}
	return q[i].at.Before(q[j].at)
}

func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	(*q)[len(*q)-1] = underWay{}
	*q = (*q)[:len(*q)-1]
	return last
}
