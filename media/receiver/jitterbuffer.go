package receiver

import (
	"time"

	"github.com/pion/rtp"
)

// bufferedPacket is a packet with its time of arrival and its extended sequence number.
type bufferedPacket struct {
	packet   *rtp.Packet
	at       time.Time
	number   int64
	gap      bool // packets between this one and the one emitted before are lost
	oriented bool // the packet carries the orientation of video
	rotation int  // clockwise, in degrees
}

// jitterBufferSlots bounds the packets that wait: a second of video at 6 Mbit/s.
const jitterBufferSlots = 1024

// jitterBuffer emits packets in order. It waits for a missing packet, which a retransmission may
// bring, until the packet after it has waited for maxWait or more than maxPackets wait; then it
// goes on and marks the gap.
type jitterBuffer struct {
	maxWait    time.Duration
	maxPackets int

	started bool
	next    int64 // extended sequence number of the packet to emit next
	gap     bool  // the packet emitted next follows a gap
	held    int
	slots   [jitterBufferSlots]bufferedPacket
}

// push takes a packet and emits those whose turn has come. It returns false for a packet that comes
// too late or again.
func (b *jitterBuffer) push(p bufferedPacket, emit func(bufferedPacket)) bool {
	if !b.started {
		b.started, b.next = true, p.number
	}
	if p.number < b.next {
		return false
	}
	if p.number == b.next && b.held == 0 { // most packets: the slots stay out of the caches of the CPU
		p.gap, b.gap = b.gap, false
		b.next++
		emit(p)
		return true
	}
	for p.number-b.next >= jitterBufferSlots {
		b.skip(p.number, emit)
	}
	if b.slots[p.number%jitterBufferSlots].packet != nil {
		return false
	}
	b.slots[p.number%jitterBufferSlots] = p
	b.held++
	b.drain(emit)
	for b.held > b.maxPackets {
		b.skip(p.number, emit)
	}
	return true
}

// expire gives up missing packets whose wait has ended.
func (b *jitterBuffer) expire(now time.Time, emit func(bufferedPacket)) {
	for b.held > 0 && !now.Before(b.deadline()) {
		b.skip(b.next+jitterBufferSlots, emit)
	}
}

// flush emits all packets that wait, and starts again with the next one.
func (b *jitterBuffer) flush(emit func(bufferedPacket)) {
	for b.held > 0 {
		b.skip(b.next+jitterBufferSlots, emit)
	}
	b.gap = b.gap || b.started
	b.started = false
}

// deadline returns the time at which the wait for the next packet ends, zero if no packet waits.
func (b *jitterBuffer) deadline() time.Time {
	if b.held == 0 {
		return time.Time{}
	}
	number := b.next
	for b.slots[number%jitterBufferSlots].packet == nil {
		number++
	}
	return b.slots[number%jitterBufferSlots].at.Add(b.maxWait)
}

// skip gives up missing packets up to the next one that is there, or up to number, and emits from
// there.
func (b *jitterBuffer) skip(number int64, emit func(bufferedPacket)) {
	for b.next < number && b.slots[b.next%jitterBufferSlots].packet == nil {
		b.next++
		b.gap = true
	}
	b.drain(emit)
}

// drain emits packets up to the next missing one.
func (b *jitterBuffer) drain(emit func(bufferedPacket)) {
	for {
		slot := &b.slots[b.next%jitterBufferSlots]
		if slot.packet == nil {
			return
		}
		p := *slot
		*slot = bufferedPacket{}
		p.gap, b.gap = b.gap, false
		b.held--
		b.next++
		emit(p)
	}
}
