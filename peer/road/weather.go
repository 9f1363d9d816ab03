package road

import (
	"math/rand/v2"
	"time"
)

// Weather is what a Link does to packets. The zero value does nothing.
type Weather struct {
	// Delay is how long each packet takes, and Jitter by how much that varies,
	// to either side, evenly and for each packet on its own: packets that
	// follow each other closely overtake each other. Default: 0.
	Delay, Jitter time.Duration
	// Loss, Reorder and Duplicate are probabilities, 0 to 1, for each packet on
	// its own: to be lost, to overtake all that are under way (it takes no time
	// at all), and to come more than once. Default: 0.
	Loss, Reorder, Duplicate float64
	// Copies is how many more come of one that is doubled. Default: 1.
	Copies int
	// Rate is how much the link carries, in bit/s; packets wait for their turn,
	// and those that would wait for more than MaxQueue are lost. Default: 0, any.
	Rate int
	// Outages are when nothing gets through, since the first packet.
	Outages []Outage
	// Seed decides everything that is left to chance: with the same seed, the
	// nth packet of a kind meets with the same.
	Seed uint64
}

// An Outage begins At the time after the first packet, and lasts For.
type Outage struct{ At, For time.Duration }

// MaxQueue is how long a packet waits for its turn at most, where there is a
// Rate: what a router of a home holds, more or less.
const MaxQueue = 300 * time.Millisecond

// out tells if nothing gets through, so long after the first packet.
func (w *Weather) out(since time.Duration) bool {
	for _, o := range w.Outages {
		if since >= o.At && since < o.At+o.For {
			return true
		}
	}
	return false
}

// dice draw the fates of packets, one after the other.
type dice struct {
	weather Weather
	rand    *rand.Rand
}

func newDice(w Weather, kind uint16) *dice {
	if w.Copies <= 0 {
		w.Copies = 1
	}
	return &dice{w, rand.New(rand.NewPCG(w.Seed, uint64(kind)))}
}

// fate is what becomes of one packet: when each of its copies arrives, none if
// it is lost. As many numbers are drawn whatever comes of them, so that one
// packet's fate does not depend on that of others.
func (d *dice) fate() (after []time.Duration, overtakes bool) {
	w := d.weather
	lost, overtakes, doubled := d.rand.Float64() < w.Loss, d.rand.Float64() < w.Reorder, d.rand.Float64() < w.Duplicate
	late := max(0, w.Delay+time.Duration((2*d.rand.Float64()-1)*float64(w.Jitter)))
	if lost {
		return nil, false
	}
	if overtakes {
		late = 0
	}
	after = []time.Duration{late}
	for range w.Copies {
		if doubled {
			after = append(after, late)
		}
	}
	return after, overtakes
}
