package source

// Bounds on sequence numbers as in RFC 3550 appendix A.1.
const (
	maxDropout = 3000 // a greater step forward is not loss
	maxAge     = 1024 // a greater step back is not reordering; also the memory for duplicates
)

// arrival is what a sequence number means.
type arrival int

const (
	arrivalNew       arrival = iota // not seen before
	arrivalDuplicate                // seen before
	arrivalStray                    // far from all others, dropped
	arrivalRestart                  // the second in a row far from the others: the sender has begun anew
)

// sequence extends sequence numbers over their wrap and counts what is missing.
type sequence struct {
	started  bool
	first    int64 // the lowest number of this run
	highest  int64
	seen     [maxAge / 64]uint64 // one bit for each of the maxAge latest numbers
	stray    uint16              // the number that would make a stray a restart
	isStray  bool
	received int64 // in this run
	lost     int64 // of runs that ended
}

// add takes the number of a packet and returns it extended.
func (s *sequence) add(number uint16) (int64, arrival) {
	if !s.started {
		s.begin(number)
		return s.highest, arrivalNew
	}
	extended := s.highest + int64(int16(number-uint16(s.highest))) //nolint:gosec // the low bits are what counts
	step := extended - s.highest
	if step > maxDropout || step <= -maxAge {
		if s.isStray && number == s.stray {
			s.lost = s.missing()
			s.begin(number)
			return s.highest, arrivalRestart
		}
		s.stray, s.isStray = number+1, true
		return 0, arrivalStray
	}
	s.isStray = false
	if step > 0 {
		for n := s.highest + 1; n <= extended; n++ {
			s.clear(n)
		}
		s.highest = extended
	} else if s.has(extended) {
		return extended, arrivalDuplicate
	}
	s.first = min(s.first, extended)
	s.mark(extended)
	s.received++
	return extended, arrivalNew
}

// begin starts a run at number. It starts in the middle of the range, so that older packets have room below.
func (s *sequence) begin(number uint16) {
	*s = sequence{started: true, lost: s.lost, received: 1}
	s.highest = 1<<32 + int64(number)
	s.first = s.highest
	s.mark(s.highest)
}

// missing counts the packets that were expected and have not come.
func (s *sequence) missing() int64 {
	if !s.started {
		return s.lost
	}
	return s.lost + s.highest - s.first + 1 - s.received
}

func (s *sequence) has(n int64) bool {
	return s.seen[n/64%int64(len(s.seen))]&(1<<(n%64)) != 0
}

func (s *sequence) mark(n int64) { s.seen[n/64%int64(len(s.seen))] |= 1 << (n % 64) }

func (s *sequence) clear(n int64) { s.seen[n/64%int64(len(s.seen))] &^= 1 << (n % 64) }
