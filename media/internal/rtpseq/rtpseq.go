// Package rtpseq extends RTP sequence numbers over their wrap and counts missing packets.
package rtpseq

// Bounds on sequence numbers as in RFC 3550 appendix A.1.
const (
	maxDropout = 3000 // a greater step forward is not loss
	maxAge     = 1024 // a greater step back is not reordering; also the memory for duplicates
)

// Arrival classifies a sequence number.
type Arrival int

const (
	New       Arrival = iota // not seen before
	Duplicate                // seen before
	Stray                    // far from all others: drop the packet
	Restart                  // the second in a row far from the others: the sender has restarted its sequence
)

// Counter extends the sequence numbers of one RTP stream to 64 bits and counts missing packets (RFC
// 3550 appendix A.1). Its zero value is ready. One goroutine uses it.
type Counter struct {
	started  bool
	first    int64 // the lowest number of this run
	highest  int64
	seen     [maxAge / 64]uint64 // one bit for each of the maxAge latest numbers
	stray    uint16              // the number that would make a stray a restart
	isStray  bool
	received int64 // in this run
	lost     int64 // of runs that ended
}

// Add takes the sequence number of a packet and returns it extended to 64 bits. The extended number
// is valid for New, Duplicate and Restart.
func (s *Counter) Add(number uint16) (int64, Arrival) {
	if !s.started {
		s.begin(number)
		return s.highest, New
	}
	extended := s.highest + int64(int16(number-uint16(s.highest))) //nolint:gosec // the low bits are what counts
	step := extended - s.highest
	if step > maxDropout || step <= -maxAge {
		if s.isStray && number == s.stray {
			s.lost = s.Missing()
			s.begin(number)
			return s.highest, Restart
		}
		s.stray, s.isStray = number+1, true
		return 0, Stray
	}
	s.isStray = false
	if step > 0 {
		for n := s.highest + 1; n <= extended; n++ {
			s.clear(n)
		}
		s.highest = extended
	} else if s.has(extended) {
		return extended, Duplicate
	}
	s.first = min(s.first, extended)
	s.mark(extended)
	s.received++
	return extended, New
}

// begin starts a run at number. It starts in the middle of the range, so that older packets have
// room below.
func (s *Counter) begin(number uint16) {
	*s = Counter{started: true, lost: s.lost, received: 1}
	s.highest = 1<<32 + int64(number)
	s.first = s.highest
	s.mark(s.highest)
}

// Missing returns the number of packets that were expected and have not arrived.
// Packets lost before a Restart are included.
func (s *Counter) Missing() int64 {
	if !s.started {
		return s.lost
	}
	return s.lost + s.highest - s.first + 1 - s.received
}

func (s *Counter) has(n int64) bool {
	return s.seen[n/64%int64(len(s.seen))]&(1<<(n%64)) != 0
}

func (s *Counter) mark(n int64) { s.seen[n/64%int64(len(s.seen))] |= 1 << (n % 64) }

func (s *Counter) clear(n int64) { s.seen[n/64%int64(len(s.seen))] &^= 1 << (n % 64) }

// Started reports whether a packet has arrived.
func (s *Counter) Started() bool { return s.started }
