package device

import "math"

// mode is one way in which a camera can run.
type mode struct {
	width, height int
	rate          float64 // 0 if the camera does not say
	cost          int     // of unpacking its pictures: between equals the lower one wins
}

// nearest is the index of the mode that comes nearest to want: first by size, because that is what a viewer sees,
// then by rate, then by cost. Sizes compare by ratio: 640 is as far from 320 as from 1280.
func nearest(want mode, modes []mode) int {
	best := -1
	for i, m := range modes {
		if m.width <= 0 || m.height <= 0 {
			continue
		}
		if best < 0 || closer(want, m, modes[best]) {
			best = i
		}
	}
	return best
}

// closer tells if a is closer to want than b is.
func closer(want, a, b mode) bool {
	if da, db := sizeDistance(want, a), sizeDistance(want, b); da != db {
		return da < db
	}
	if da, db := rateDistance(want, a), rateDistance(want, b); da != db {
		return da < db
	}
	return a.cost < b.cost
}

func sizeDistance(a, b mode) float64 {
	return math.Abs(math.Log(float64(a.width)/float64(b.width))) + math.Abs(math.Log(float64(a.height)/float64(b.height)))
}

// rateDistance rounds to a tenth, so that 29.97 is as good as 30 where the pixels cost less.
func rateDistance(a, b mode) float64 {
	if b.rate == 0 {
		return 1000
	}
	return math.Round(math.Abs(a.rate-b.rate)*10) / 10
}
