package testsignal

import "math"

const (
	hopLength    = symbolLength / 12 // samples between two matches: 2.5 ms
	decimation   = 4                 // 48 to 12 kHz
	periodPhases = commonPeriod / decimation
	symbolHops   = symbolLength / hopLength
	historyHops  = symbolCount * symbolHops
	// The strongest frequency of a symbol has this many times the energy of any other, and is
	// attenuated by 26 dB at most: weaker ones are noise of the codec.
	minPeakRatio = 3
	minEnergy    = (symbolAmplitude / 20 * symbolLength / 2) * (symbolAmplitude / 20 * symbolLength / 2)
)

// A TimecodeDetector finds timecodes in mono samples at 48 kHz, also after lossy coding. It takes
// about nine multiplications per sample.
type TimecodeDetector struct {
	cosine, sine [periodPhases]float64

	samples  uint64
	mean     float64                    // sum of the samples since the last decimation
	re, im   [symbolFrequencies]float64 // spectrum of the hop so far
	hops     [symbolHops][2][symbolFrequencies]float64
	energies [historyHops][symbolFrequencies]float64
	hop      int

	best timecodeMatch // of the timecode that is ending; found is false if there is none
	left float64       // score one hop before best
	next float64       // score one hop after best
}

// timecodeMatch is a timecode that may end with a hop.
type timecodeMatch struct {
	found  bool
	number uint32
	score  float64
	end    uint64 // first sample after its last symbol
}

// NewTimecodeDetector returns a TimecodeDetector before its first sample.
func NewTimecodeDetector() *TimecodeDetector {
	d := &TimecodeDetector{}
	for i := range d.cosine {
		d.sine[i], d.cosine[i] = math.Sincos(2 * math.Pi * float64(i) / periodPhases)
	}
	return d
}

func frequencyStep(tone int) int {
	if tone == 0 {
		return startStep
	}
	return digitZeroStep + tone - 1
}

// Write takes the next sample. After the end of a timecode it returns the number, and the position
// of its first symbol in samples since the first call, with an accuracy of about a millisecond.
func (d *TimecodeDetector) Write(sample float64) (number uint32, begin float64, ok bool) {
	d.mean += sample
	if d.samples++; d.samples%decimation != 0 {
		return 0, 0, false
	}
	at := int(d.samples / decimation % periodPhases) //nolint:gosec // below periodPhases
	for tone := range symbolFrequencies {
		phase := frequencyStep(tone) * at % periodPhases
		d.re[tone] += d.mean * d.cosine[phase]
		d.im[tone] += d.mean * d.sine[phase]
	}
	if d.mean = 0; d.samples%hopLength != 0 {
		return 0, 0, false
	}
	d.endHop()
	return d.selectBest(d.match())
}

// endHop computes the energies of the symbol that would end with this hop.
func (d *TimecodeDetector) endHop() {
	slot := &d.hops[d.hop%symbolHops]
	slot[0], slot[1] = d.re, d.im
	d.re, d.im = [symbolFrequencies]float64{}, [symbolFrequencies]float64{}
	energies := &d.energies[d.hop%historyHops]
	for tone := range symbolFrequencies {
		re, im := 0.0, 0.0 // not a running sum, which would accumulate errors
		for i := range d.hops {
			re += d.hops[i][0][tone]
			im += d.hops[i][1][tone]
		}
		energies[tone] = re*re + im*im
	}
	d.hop++
}

// match reads the timecode that would end with the latest hop.
func (d *TimecodeDetector) match() (m timecodeMatch) {
	if d.hop < historyHops {
		return m
	}
	var word uint64
	for symbol := range symbolCount {
		back := (symbolCount - 1 - symbol) * symbolHops
		energies := &d.energies[(d.hop-1-back)%historyHops]
		best, second := 0, -1
		for tone := 1; tone < symbolFrequencies; tone++ {
			switch {
			case energies[tone] > energies[best]:
				best, second = tone, best
			case second < 0 || energies[tone] > energies[second]:
				second = tone
			}
		}
		if (best == 0) != (symbol == 0) || energies[best] < minPeakRatio*energies[second] || energies[best] < minEnergy {
			return m
		}
		m.score += energies[best]
		if symbol > 0 {
			word = word<<4 | uint64(best-1) //nolint:gosec // a digit
		}
	}
	m.number = uint32(word >> 8) //nolint:gosec // 20 bits
	m.found, m.end = crc8(m.number) == byte(word), d.samples
	return m
}

// selectBest waits for the hop with the highest score, and interpolates between it and its
// neighbours.
func (d *TimecodeDetector) selectBest(now timecodeMatch) (number uint32, begin float64, ok bool) {
	same := now.found && d.best.found && now.number == d.best.number
	switch {
	case same && now.score > d.best.score:
		d.left, d.next, d.best = d.best.score, 0, now
	case same && d.next == 0:
		d.next = now.score
	case now.found && !d.best.found:
		d.left, d.next, d.best = 0, 0, now
	}
	if same || !d.best.found || d.samples < d.best.end+2*hopLength {
		return 0, 0, false
	}
	done := d.best
	end := float64(done.end)
	if curve := d.left - 2*done.score + d.next; d.left > 0 && d.next > 0 && curve < 0 {
		end += hopLength * (d.left - d.next) / curve / 2
	}
	d.best, d.left, d.next = timecodeMatch{}, 0, 0
	return done.number, end - symbolsLength, true
}
