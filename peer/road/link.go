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
	Lost      int // by chance, in an outage, or because too many waited
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
	weather Weather
	dice    map[uint16]*dice // by kind
	began   time.Time        // the first packet in this weather
	free    time.Time        // when the line is, where there is a rate
	waiting queue
	number  uint64
	counts  Counts
}

// NewLink makes a link, of which deliver gets the packets that are sent, one at
// a time on a goroutine of the link. Close ends it.
func NewLink(w Weather, deliver func([]byte)) *Link {
	l := &Link{deliver: deliver, changed: make(chan struct{}, 1), done: make(chan struct{}), ended: make(chan struct{})}
	l.Become(w)
	go l.run()
	return l
}

// Become changes the weather, for packets that are sent from now on.
func (l *Link) Become(w Weather) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.weather, l.dice, l.began, l.free = w, map[uint16]*dice{}, time.Time{}, time.Time{}
}

// Send gives the link a copy of a packet. It does not wait.
func (l *Link) Send(packet []byte) { l.Carry(0, packet, l.deliver) }

// Carry is Send for a packet of a kind, which fates of its own are drawn for, to
// one who gets it, on the goroutine of the link.
func (l *Link) Carry(kind uint16, packet []byte, deliver func([]byte)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.Sent++
	now := time.Now()
	after, overtakes := l.fate(kind)
	turn, ok := l.turn(now, len(packet))
	if len(after) == 0 || !ok || len(l.waiting)+len(after) > mostUnderWay {
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
		heap.Push(&l.waiting, underWay{turn.Add(d), l.number, packet, deliver})
	}
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

func (l *Link) fate(kind uint16) (after []time.Duration, overtakes bool) {
	d := l.dice[kind]
	if d == nil {
		d = newDice(l.weather, kind)
		l.dice[kind] = d
	}
	return d.fate()
}

// turn is when a packet has passed the bottleneck, false if it does not.
func (l *Link) turn(now time.Time, bytes int) (time.Time, bool) {
	if l.began.IsZero() {
		l.began = now
	}
	if l.weather.out(now.Sub(l.began)) {
		return now, false
	}
	if l.weather.Rate <= 0 {
		return now, true
	}
	if l.free.Before(now) {
		l.free = now
	}
	if l.free.Sub(now) > MaxQueue {
		return now, false
	}
	l.free = l.free.Add(time.Duration(bytes) * 8 * time.Second / time.Duration(l.weather.Rate))
	return l.free, true
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
			p, next := l.due(time.Now())
			if p.deliver == nil {
				timer.Reset(next)
				break
			}
			p.deliver(p.packet)
		}
	}
}

// due takes the next packet that has arrived, or tells when there is one.
func (l *Link) due(now time.Time) (p underWay, next time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		return underWay{}, time.Hour // until changed
	}
	if next = l.waiting[0].at.Sub(now); next > 0 {
		return underWay{}, next
	}
	l.counts.Delivered++
	return heap.Pop(&l.waiting).(underWay), 0
}

// underWay is one copy of a packet.
type underWay struct {
	at      time.Time
	number  uint64
	packet  []byte
	deliver func([]byte)
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
