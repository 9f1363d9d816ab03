package rtpseq

import (
	"math/rand/v2"
	"testing"
)

// TestCounter checks against a plain count, over many wraps, in a disorder that a network makes.
func TestCounter(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		var s Counter
		var waiting []uint16
		base := uint16(random.Uint32())
		seen := map[int64]bool{}
		number, lost, duplicates := base, int64(0), 0
		add := func(n uint16) {
			place, what := s.Add(n)
			if what == Duplicate {
				duplicates++
				return
			}
			if what != New || seen[place] || uint16(place) != n { //nolint:gosec // the low bits
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
		if s.Missing() != lost+int64(len(waiting)) || duplicates != twice || int64(len(seen)) != sent-s.Missing() {
			t.Errorf("seed %d: %d missing, %d lost and %d under way; %d duplicates of %d", seed, s.Missing(), lost, len(waiting), duplicates, twice)
		}
	}
}

func TestCounterRestart(t *testing.T) {
	var s Counter
	for n := range uint16(10) {
		s.Add(n)
	}
	if _, what := s.Add(40000); what != Stray {
		t.Errorf("a number far off is %v", what)
	}
	if _, what := s.Add(10); what != New {
		t.Errorf("the next number is %v", what)
	}
	if _, what := s.Add(40001); what != Stray {
		t.Errorf("a second one far off, not in a row, is %v", what)
	}
	if _, what := s.Add(40002); what != Restart {
		t.Errorf("the second in a row is %v", what)
	}
	if _, what := s.Add(40003); what != New || s.Missing() != 0 {
		t.Errorf("the third is %v, %d missing", what, s.Missing())
	}
}
