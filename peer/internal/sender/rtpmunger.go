package sender

import (
	"time"

	"github.com/pion/rtp"
)

// rtpMunger makes one RTP stream of packets that may come from several local tracks, with dropped
// ones between. Sequence numbers have no gap, so that dropped packets do not count as lost.
// Timestamps go on with the clock (RFC 3550 section 5.1).
type rtpMunger struct {
	started   bool
	changed   bool // the next packet is the first of another local track
	sequence  uint16
	timestamp uint32
	at        time.Time // of the packet with that sequence number and timestamp

	sequenceOffset  uint16
	timestampOffset uint32
}

// sourceChanged notes that the next packet is of another local track.
func (m *rtpMunger) sourceChanged() { m.changed = true }

// dropPacket notes that a packet is not sent.
func (m *rtpMunger) dropPacket() { m.sequenceOffset-- }

// rewrite returns h as it is sent. clockRate is in Hz.
func (m *rtpMunger) rewrite(h *rtp.Header, clockRate uint32, now time.Time) *rtp.Header {
	if m.changed && m.started {
		elapsed := uint32(now.Sub(m.at).Seconds() * float64(clockRate))
		m.sequenceOffset = m.sequence + 1 - h.SequenceNumber
		m.timestampOffset = m.timestamp + max(elapsed, 1) - h.Timestamp
	}
	m.changed = false
	out := *h
	out.SequenceNumber += m.sequenceOffset
	out.Timestamp += m.timestampOffset
	// A track that forwards received packets may write them out of order: another one goes on from
	// the highest.
	if !m.started || int16(out.SequenceNumber-m.sequence) > 0 {
		m.sequence, m.timestamp, m.at = out.SequenceNumber, out.Timestamp, now
	}
	m.started = true
	return &out
}
