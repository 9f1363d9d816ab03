package source

import (
	"math"

	"parley/media"
)

// The source "test" says, in its sound, which moment of the source it is: under the tone of 440 Hz there is a word each
// 250 ms, of eight symbols of 30 ms, and 10 ms of nothing.
//
//	0     30    60    90    120   150   180   210   240 250 ms
//	┌─────┬─────┬─────┬─────┬─────┬─────┬─────┬─────┬───┐
//	│begin│ number of the word, 20 bits │ sum, 8 b. │   │
//	└─────┴─────┴─────┴─────┴─────┴─────┴─────┴─────┴───┘
//
// A symbol is one frequency: 1300 Hz begins a word, and 1500 to 3000 Hz, by steps of 100 Hz, are the digits 0 to 15.
// All have whole periods in a symbol, so that none begins with a click, and are low enough for any codec of telephones.
// They are 16 dB below the tone, which stays what a listener hears. The number counts from the source's Origin; the
// checksum is that of the strip.
const (
	codeSymbol  = media.OpusClockRate * 30 / 1000 // samples
	codeWord    = media.OpusClockRate * 250 / 1000
	codeSymbols = 8
	codeLevel   = toneLevel * 0.16
	codeBegin   = 13 // in steps of 100 Hz
	codeZero    = 15
	codeTones   = 17                        // those of digits, and the one that begins
	codePeriod  = media.OpusClockRate / 100 // samples in which all frequencies have whole periods
	codeNumbers = uint32(1<<20) - 1         // words are counted up to this
	codeLength  = codeSymbols * codeSymbol  // samples of a word that sound
)

// codeSteps are the frequencies of the symbols of a word, in steps of 100 Hz.
func codeSteps(number uint32) (steps [codeSymbols]int) {
	number &= codeNumbers
	steps[0] = codeBegin
	word := uint64(number)<<8 | uint64(stripSum(number))
	for i := codeSymbols - 1; i > 0; i-- {
		steps[i] = codeZero + int(word&0xF) //nolint:gosec // a digit
		word >>= 4
	}
	return steps
}

// codeSample is sample n of the code.
func codeSample(n uint64) float64 {
	in := int(n % codeWord) //nolint:gosec // below codeWord
	if in >= codeLength {
		return 0
	}
	steps := codeSteps(uint32(n / codeWord)) //nolint:gosec // wraps by design
	turn := float64(steps[in/codeSymbol]*(in%codePeriod)) / codePeriod
	return codeLevel * math.Sin(2*math.Pi*turn)
}
