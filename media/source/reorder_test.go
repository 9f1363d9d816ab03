package source

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/rtp"
)

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
