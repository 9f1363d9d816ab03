package peer

import (
	"time"

	"github.com/pion/rtp"
)

// splice makes one RTP stream of what may come from several tracks with pauses
// between: sequence numbers go on without a gap, so that nothing left out is
// taken for lost, and timestamps go on with the clock (RFC 3550 §5.1).
type splice struct {
	began     bool
	fresh     bool // the next packet is the first of another track
	number    uint16
	timestamp uint32
	at        time.Time

	numberShift    uint16
	timestampShift uint32
}

// skip takes note of a packet that is not sent.
func (s *splice) skip() { s.numberShift-- }

// next is h as it goes out.
func (s *splice) next(h *rtp.Header, clock uint32, now time.Time) *rtp.Header {
	if s.fresh && s.began {
		passed := uint32(now.Sub(s.at).Seconds() * float64(clock))
		s.numberShift = s.number + 1 - h.SequenceNumber
		s.timestampShift = s.timestamp + max(passed, 1) - h.Timestamp
	}
	s.fresh = false
	out := *h
	out.SequenceNumber += s.numberShift
	out.Timestamp += s.timestampShift
	// A mirror may send out of order: the latest is what a new track goes on from.
	if !s.began || int16(out.SequenceNumber-s.number) > 0 {
		s.number, s.timestamp, s.at = out.SequenceNumber, out.Timestamp, now
	}
	s.began = true
	return &out
}
