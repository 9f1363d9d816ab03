package source

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/rtp"
)

// TestSequence checks against a plain count, over many wraps, in a disorder that a network makes.
func TestSequence(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		var s sequence
		var waiting []uint16
		base := uint16(random.Uint32())
		seen := map[int64]bool{}
		number, lost, duplicates := base, int64(0), 0
		add := func(n uint16) {
			place, what := s.add(n)
			if what == arrivalDuplicate {
				duplicates++
				return
			}
			if what != arrivalNew || seen[place] || uint16(place) != n { //nolint:gosec // the low bits
				t.Fatalf("seed %d: %d is %d at %d", seed, n, what, place)
			}
			seen[place] = true
		}
		add(number)
		sent, twice := int64(1), 0
		for range 200_000 {
			number++
			sent++
			switch random.IntN(20) {
			case 0:
				lost++
			case 1:
				waiting = append(waiting, number)
			case 2:
				add(number)
				add(number)
				twice++
			default:
				add(number)
			}
			if len(waiting) > 0 && random.IntN(10) == 0 {
				add(waiting[0])
				waiting = waiting[1:]
			}
		}
		number++
		sent++
		add(number)
		if s.missing() != lost+int64(len(waiting)) || duplicates != twice || int64(len(seen)) != sent-s.missing() {
			t.Errorf("seed %d: %d missing, %d lost and %d under way; %d duplicates of %d", seed, s.missing(), lost, len(waiting), duplicates, twice)
		}
	}
}

func TestSequenceRestart(t *testing.T) {
	var s sequence
	for n := range uint16(10) {
		s.add(n)
	}
	if _, what := s.add(40000); what != arrivalStray {
		t.Errorf("a number far off is %v", what)
	}
	if _, what := s.add(10); what != arrivalNew {
		t.Errorf("the next number is %v", what)
	}
	if _, what := s.add(40001); what != arrivalStray {
		t.Errorf("a second one far off, not in a row, is %v", what)
	}
	if _, what := s.add(40002); what != arrivalRestart {
		t.Errorf("the second in a row is %v", what)
	}
	if _, what := s.add(40003); what != arrivalNew || s.missing() != 0 {
		t.Errorf("the third is %v, %d missing", what, s.missing())
	}
}

// TestReorderOrder: whatever comes, what is handed on is in order, and each gap is marked.
func TestReorderOrder(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 2))
		r := &reorder{wait: 100 * time.Millisecond, limit: 20 + random.IntN(900)}
		last, started, held := int64(0), false, 0
		handOn := func(a arrived) {
			held--
			if started && (a.place <= last || a.gap != (a.place != last+1)) {
				t.Fatalf("seed %d: %d after %d, gap %v", seed, a.place, last, a.gap)
			}
			last, started = a.place, true
		}
		now := time.Unix(0, 0)
		place := int64(1 << 32)
		pushed := map[int64]bool{}
		for range 5000 {
			now = now.Add(time.Duration(random.IntN(10)) * time.Millisecond)
			next := place + int64(random.IntN(50)) - 10
			if random.IntN(200) == 0 {
				next += 2500
			}
			place = max(place, next)
			if pushed[next] {
				continue
			}
			pushed[next] = true
			held++
			if !r.push(arrived{packet: &rtp.Packet{}, at: now, place: next}, handOn) {
				held--
			}
			r.expire(now, handOn)
			if r.held != held || r.held > r.limit {
				t.Fatalf("seed %d: holds %d, should be %d", seed, r.held, held)
			}
		}
		r.flush(handOn)
		if held != 0 {
			t.Errorf("seed %d: %d are left over", seed, held)
		}
	}
}
