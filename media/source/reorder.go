package source

import (
	"time"

	"github.com/pion/rtp"
)

// arrived is a packet, the moment it came, and its place.
type arrived struct {
	packet *rtp.Packet
	at     time.Time
	place  int64 // extended sequence number
	gap    bool  // packets between this one and the one handed on before are lost
}

// reorderSlots bounds the packets that wait, and so the memory: a second of video at 6 Mbit/s.
const reorderSlots = 1024

// reorder hands packets on in order. It waits for a missing one, which a retransmission may bring, until wait has
// passed since the packet after it came or limit packets wait, then it goes on and marks the gap.
type reorder struct {
	wait  time.Duration
	limit int

	started bool
	next    int64 // place of the packet to hand on next
	gap     bool  // what is handed on next follows a gap
	held    int
	slots   [reorderSlots]arrived
}

// push takes a packet and hands on those whose turn has come. It says false for a packet that comes too late, or again.
func (r *reorder) push(a arrived, handOn func(arrived)) bool {
	if !r.started {
		r.started, r.next = true, a.place
	}
	if a.place < r.next {
		return false
	}
	for a.place-r.next >= reorderSlots {
		r.skip(a.place, handOn)
	}
	if r.slots[a.place%reorderSlots].packet != nil {
		return false
	}
	r.slots[a.place%reorderSlots] = a
	r.held++
	r.drain(handOn)
	for r.held > r.limit {
		r.skip(a.place, handOn)
	}
	return true
}

// expire gives up on missing packets that have been waited for long enough.
func (r *reorder) expire(now time.Time, handOn func(arrived)) {
	for r.held > 0 && !now.Before(r.deadline()) {
		r.skip(r.next+reorderSlots, handOn)
	}
}

// flush hands on all that waits and forgets where it was.
func (r *reorder) flush(handOn func(arrived)) {
	for r.held > 0 {
		r.skip(r.next+reorderSlots, handOn)
	}
	r.gap = r.gap || r.started
	r.started = false
}

// deadline is when waiting for the next packet ends, zero if nothing waits.
func (r *reorder) deadline() time.Time {
	if r.held == 0 {
		return time.Time{}
	}
	place := r.next
	for r.slots[place%reorderSlots].packet == nil {
		place++
	}
	return r.slots[place%reorderSlots].at.Add(r.wait)
}

// skip leaves out missing packets up to the next one that is there, or up to place, and hands on from there.
func (r *reorder) skip(place int64, handOn func(arrived)) {
	for r.next < place && r.slots[r.next%reorderSlots].packet == nil {
		r.next++
		r.gap = true
	}
	r.drain(handOn)
}

// drain hands on packets up to the next missing one.
func (r *reorder) drain(handOn func(arrived)) {
	for {
		slot := &r.slots[r.next%reorderSlots]
		if slot.packet == nil {
			return
		}
		a := *slot
		*slot = arrived{}
		a.gap, r.gap = r.gap, false
		r.held--
		r.next++
		handOn(a)
	}
}
