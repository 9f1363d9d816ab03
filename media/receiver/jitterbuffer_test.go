package receiver

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/rtp"
)

// TestJitterBufferOrder: packets are emitted in order, and each gap is marked.
func TestJitterBufferOrder(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 2))
		r := &jitterBuffer{maxWait: 100 * time.Millisecond, maxPackets: 20 + random.IntN(900)}
		last, started, held := int64(0), false, 0
		emit := func(a bufferedPacket) {
			held--
			if started && (a.number <= last || a.gap != (a.number != last+1)) {
				t.Fatalf("seed %d: %d after %d, gap %v", seed, a.number, last, a.gap)
			}
			last, started = a.number, true
		}
		now := time.Unix(0, 0)
		number := int64(1 << 32)
		pushed := map[int64]bool{}
		for range 5000 {
			now = now.Add(time.Duration(random.IntN(10)) * time.Millisecond)
			next := number + int64(random.IntN(50)) - 10
			if random.IntN(200) == 0 {
				next += 2500
			}
			number = max(number, next)
			if pushed[next] {
				continue
			}
			pushed[next] = true
			held++
			if !r.push(bufferedPacket{packet: &rtp.Packet{}, at: now, number: next}, emit) {
				held--
			}
			r.expire(now, emit)
			if r.held != held || r.held > r.maxPackets {
				t.Fatalf("seed %d: holds %d, should be %d", seed, r.held, held)
			}
		}
		r.flush(emit)
		if held != 0 {
			t.Errorf("seed %d: %d are left over", seed, held)
		}
	}
}
