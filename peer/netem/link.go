package netem

import (
	"bytes"
	"cmp"
	"container/heap"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	limit        = 1 << 16 // packets that a link holds; further ones are dropped
	defaultQueue = 300 * time.Millisecond
)

// Counts are numbers of packets of a link.
type Counts struct {
	Sent       int // passed to the link
	Dropped    int // by chance, in an outage or from a full queue
	Reordered  int
	Duplicated int // copies added
	Delivered  int // with copies
	// QueueTime is the sum of the times that packets have waited for the rate.
	QueueTime time.Duration
}

// A Link carries packets in one direction.
type Link struct {
	deliver func([]byte)
	changed chan struct{} // has one element when the queue has a new packet
	closed  chan struct{} // closed by Close
	stopped chan struct{} // closed when run has returned

	mu       sync.Mutex // guards the fields below
	config   Config
	deciders map[packetKind]*decider
	first    time.Time // time of the first packet since SetConfig
	free     time.Time // time at which the queue for the rate is empty
	queue    packetQueue
	number   uint64 // of the last packet queued
	counts   Counts
}

// NewLink starts a link. It calls deliver with one packet at a time on a goroutine of its own. The
// caller closes the link.
func NewLink(c Config, deliver func([]byte)) *Link {
	l := &Link{deliver: deliver, changed: make(chan struct{}, 1), closed: make(chan struct{}), stopped: make(chan struct{})}
	l.SetConfig(c)
	go l.run()
	return l
}

// SetConfig changes the properties for packets sent from now on. Outages and the random numbers
// start again.
func (l *Link) SetConfig(c Config) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.config, l.deciders, l.first, l.free = c, map[packetKind]*decider{}, time.Time{}, time.Time{}
}

// Send queues a copy of a packet. It does not block.
func (l *Link) Send(packet []byte) { l.SendTo(packet, l.deliver) }

// SendTo is Send for a link that several receivers share: the packet goes to deliver.
func (l *Link) SendTo(packet []byte, deliver func([]byte)) { l.send(0, packet, deliver) }

// send queues a copy of a packet for deliver. Packets of each kind have random numbers of their
// own.
func (l *Link) send(kind packetKind, packet []byte, deliver func([]byte)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.Sent++
	if l.deciders[kind] == nil {
		l.deciders[kind] = newDecider(l.config, kind)
	}
	d := l.deciders[kind].next()
	at, ok := l.transmit(time.Now(), len(packet))
	if d.copies == 0 || !ok || len(l.queue)+d.copies > limit {
		l.counts.Dropped++
		return
	}
	if d.reordered {
		l.counts.Reordered++
	}
	l.counts.Duplicated += d.copies - 1
	packet = bytes.Clone(packet)
	for range d.copies {
		l.number++
		heap.Push(&l.queue, queuedPacket{at.Add(d.delay), l.number, packet, deliver})
	}
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// transmit returns the time at which a packet of some bytes has been transmitted at the rate. It
// returns false if the packet is dropped.
func (l *Link) transmit(now time.Time, bytes int) (time.Time, bool) {
	if l.first.IsZero() {
		l.first = now
	}
	if l.config.outage(now.Sub(l.first)) {
		return now, false
	}
	if l.config.Rate <= 0 {
		return now, true
	}
	if l.free.Before(now) {
		l.free = now
	}
	wait := l.free.Sub(now)
	if wait > cmp.Or(l.config.Queue, defaultQueue) {
		return now, false
	}
	l.counts.QueueTime += wait
	l.free = l.free.Add(time.Duration(bytes) * 8 * time.Second / time.Duration(l.config.Rate))
	return l.free, true
}

// Counts returns the counts since NewLink.
func (l *Link) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts
}

// Close stops the link and discards the queued packets. It waits for a running delivery.
func (l *Link) Close() {
	close(l.closed)
	<-l.stopped
}

// run delivers packets until Close.
func (l *Link) run() {
	defer close(l.stopped)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-l.closed:
			return
		case <-l.changed:
		case <-timer.C:
		}
		for {
			p, wait := l.next(time.Now())
			if p.deliver == nil {
				timer.Reset(wait)
				break
			}
			p.deliver(p.data)
		}
	}
}

// next removes the next packet from the queue if it is due. Else it returns how long to wait.
func (l *Link) next(now time.Time) (p queuedPacket, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		return queuedPacket{}, time.Hour // until changed
	}
	if wait = l.queue[0].at.Sub(now); wait > 0 {
		return queuedPacket{}, wait
	}
	l.counts.Delivered++
	return heap.Pop(&l.queue).(queuedPacket), 0
}

// queuedPacket is one copy of a packet.
type queuedPacket struct {
	at      time.Time // of delivery
	number  uint64
	data    []byte
	deliver func([]byte)
}

// packetQueue is a heap by time of delivery, then by order of sending.
type packetQueue []queuedPacket

func (q packetQueue) Len() int      { return len(q) }
func (q packetQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *packetQueue) Push(x any)   { *q = append(*q, x.(queuedPacket)) }
func (q packetQueue) Less(i, j int) bool {
	if q[i].at.Equal(q[j].at) {
		return q[i].number < q[j].number
	}
	return q[i].at.Before(q[j].at)
}

func (q *packetQueue) Pop() any {
	last := (*q)[len(*q)-1]
	(*q)[len(*q)-1] = queuedPacket{}
	*q = (*q)[:len(*q)-1]
	return last
}

// decision is what happens to one packet.
type decision struct {
	copies    int // delivered; 0 if the packet is lost
	delay     time.Duration
	reordered bool
}

// decider draws the decisions for the packets of one kind.
type decider struct {
	config Config
	rand   *rand.Rand
}

func newDecider(c Config, kind packetKind) *decider {
	if c.Copies <= 0 {
		c.Copies = 1
	}
	return &decider{c, rand.New(rand.NewPCG(c.Seed, uint64(kind)))}
}

// next returns the decision for the next packet. It always draws four random numbers, so that a
// decision does not depend on earlier ones.
func (d *decider) next() decision {
	c := d.config
	lost, reordered, duplicated := d.rand.Float64() < c.Loss, d.rand.Float64() < c.Reorder, d.rand.Float64() < c.Duplicate
	delay := max(0, c.Delay+time.Duration((2*d.rand.Float64()-1)*float64(c.Jitter)))
	switch {
	case lost:
		return decision{}
	case reordered:
		delay = 0
	}
	copies := 1
	if duplicated {
		copies += c.Copies
	}
	return decision{copies, delay, reordered}
}

// packetKind is a protocol, or one RTP payload type. Each kind has random numbers of its own: how
// many connectivity checks ICE sends does not change which media packets are lost.
type packetKind uint16

// Values below 128 are RTP payload types.
const (
	kindRTCP        packetKind = 0xc0
	kindSTUN        packetKind = 0x100
	kindTURNChannel packetKind = 0x101
	kindDTLS        packetKind = 0x102
	kindOther       packetKind = 0x103
)

// kindOf returns the kind of a packet: by its first byte (RFC 7983 section 7), and of RTP and RTCP
// by its second (RFC 5761 section 4).
func kindOf(packet []byte) packetKind {
	switch {
	case len(packet) < 2:
		return kindOther
	case packet[0] <= 3:
		return kindSTUN
	case packet[0] >= 20 && packet[0] <= 63:
		return kindDTLS
	case packet[0] >= 64 && packet[0] <= 79:
		return kindTURNChannel
	case packet[0] >= 128 && packet[0] <= 191:
		if packet[1] >= 192 && packet[1] <= 223 {
			return kindRTCP // all types: which one is sent depends on the reports that are due
		}
		return packetKind(packet[1] & 0x7f) // without the marker bit
	}
	return kindOther
}
