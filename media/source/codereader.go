package source

import "math"

const (
	codeHop     = codeSymbol / 12 // samples between two looks: 2.5 ms
	codeSparse  = 4               // samples of which the mean is looked at, at 12 kHz
	codeTurns   = codePeriod / codeSparse
	codeHops    = codeSymbol / codeHop
	codeHistory = codeSymbols * codeHops
	// The strongest frequency of a symbol is this many times as strong as any other, and 26 dB below what it was at
	// the source or more: under a tone there is always some noise, which says anything now and then.
	codeStandsOut = 3
	codeLeast     = (codeLevel / 20 * codeSymbol / 2) * (codeLevel / 20 * codeSymbol / 2)
)

// codeReader finds the words of a test sound in samples at 48 kHz, also after lossy coding. What it costs is bounded:
// nine multiplications a sample, and little beside.
type codeReader struct {
	cosine, sine [codeTurns]float64

	samples  uint64
	mean     float64            // of the latest codeSparse samples, times their number
	re, im   [codeTones]float64 // of the hop that is filling
	hops     [codeHops][2][codeTones]float64
	energies [codeHistory][codeTones]float64
	hop      int

	best codeFind // of a word that is under way, found is false for none
	left float64  // score one hop before the best
	next float64  // and one after
}

// codeFind is a word that has been found.
type codeFind struct {
	found  bool
	number uint32
	score  float64
	end    uint64 // sample behind its last symbol
}

func newCodeReader() *codeReader {
	r := &codeReader{}
	for i := range r.cosine {
		r.sine[i], r.cosine[i] = math.Sincos(2 * math.Pi * float64(i) / codeTurns)
	}
	return r
}

func codeStep(tone int) int {
	if tone == 0 {
		return codeBegin
	}
	return codeZero + tone - 1
}

// put takes a sample. When a word is over it returns its number, and where its first symbol began, in samples since the
// first that was put; that is exact to a millisecond or so.
func (r *codeReader) put(sample float64) (number uint32, begin float64, ok bool) {
	r.mean += sample
	if r.samples++; r.samples%codeSparse != 0 {
		return 0, 0, false
	}
	at := int(r.samples / codeSparse % codeTurns) //nolint:gosec // below codeTurns
	for tone := range codeTones {
		phase := codeStep(tone) * at % codeTurns
		r.re[tone] += r.mean * r.cosine[phase]
		r.im[tone] += r.mean * r.sine[phase]
	}
	if r.mean = 0; r.samples%codeHop != 0 {
		return 0, 0, false
	}
	r.slide()
	return r.follow(r.look())
}

// slide moves the window by a hop.
func (r *codeReader) slide() {
	slot := &r.hops[r.hop%codeHops]
	slot[0], slot[1] = r.re, r.im
	r.re, r.im = [codeTones]float64{}, [codeTones]float64{}
	energies := &r.energies[r.hop%codeHistory]
	for tone := range codeTones {
		re, im := 0.0, 0.0 // summed anew: a running sum would keep its errors
		for i := range r.hops {
			re += r.hops[i][0][tone]
			im += r.hops[i][1][tone]
		}
		energies[tone] = re*re + im*im
	}
	r.hop++
}

// look reads the word that would end with the latest hop.
func (r *codeReader) look() (find codeFind) {
	if r.hop < codeHistory {
		return find
	}
	var word uint64
	for symbol := range codeSymbols {
		back := (codeSymbols - 1 - symbol) * codeHops
		energies := &r.energies[(r.hop-1-back)%codeHistory]
		best, second := 0, -1
		for tone := 1; tone < codeTones; tone++ {
			switch {
			case energies[tone] > energies[best]:
				best, second = tone, best
			case second < 0 || energies[tone] > energies[second]:
				second = tone
			}
		}
		if (best == 0) != (symbol == 0) || energies[best] < codeStandsOut*energies[second] || energies[best] < codeLeast {
			return find
		}
		find.score += energies[best]
		if symbol > 0 {
			word = word<<4 | uint64(best-1) //nolint:gosec // a digit
		}
	}
	find.number = uint32(word >> 8) //nolint:gosec // 20 bits
	find.found, find.end = stripSum(find.number) == byte(word), r.samples
	return find
}

// follow waits until the word fits best, which is where its symbols are.
func (r *codeReader) follow(now codeFind) (number uint32, begin float64, ok bool) {
	same := now.found && r.best.found && now.number == r.best.number
	switch {
	case same && now.score > r.best.score:
		r.left, r.next, r.best = r.best.score, 0, now
	case same && r.next == 0:
		r.next = now.score
	case now.found && !r.best.found:
		r.left, r.next, r.best = 0, 0, now
	}
	if same || !r.best.found || r.samples < r.best.end+2*codeHop {
		return 0, 0, false
	}
	done := r.best
	end := float64(done.end)
	if curve := r.left - 2*done.score + r.next; r.left > 0 && r.next > 0 && curve < 0 {
		end += codeHop * (r.left - r.next) / curve / 2
	}
	r.best, r.left, r.next = codeFind{}, 0, 0
	return done.number, end - codeLength, true
}
