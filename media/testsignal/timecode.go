package testsignal

import (
	"math"
	"time"

	"parley/media"
)

// TimecodeInterval is the time between two timecodes. Timecode N begins N intervals after the
// Epoch.
const TimecodeInterval = 250 * time.Millisecond

// A timecode has eight symbols of 30 ms, and 10 ms of silence:
//
//	0     30    60    90    120   150   180   210   240 250 ms
//	┌─────┬─────┬─────┬─────┬─────┬─────┬─────┬─────┬───┐
//	│start│ number of the timecode, 20 bits │CRC-8│   │
//	└─────┴─────┴─────┴─────┴─────┴─────┴─────┴─────┴───┘
//
// A symbol is one frequency: 1300 Hz starts a timecode, and 1500 to 3000 Hz, in steps of 100 Hz,
// are the hexadecimal digits. All frequencies have whole periods in a symbol, so that none starts
// with a click, and lie in the telephone band. The symbols are 16 dB below the tone. The number
// wraps after 2^20; the checksum is that of the frame ID.
const (
	symbolLength      = media.OpusClockRate * 30 / 1000 // samples
	timecodeLength    = media.OpusClockRate / 4         // samples in a TimecodeInterval
	symbolCount       = 8
	symbolAmplitude   = toneAmplitude * 0.16
	startStep         = 13 // in steps of 100 Hz
	digitZeroStep     = 15
	symbolFrequencies = 17                        // of the digits and the start symbol
	commonPeriod      = media.OpusClockRate / 100 // samples in which all frequencies have whole periods
	maxTimecode       = uint32(1<<20) - 1
	symbolsLength     = symbolCount * symbolLength // samples of a timecode without the silence
)

// timecodeSteps returns the frequencies of the symbols of a timecode, in steps of 100 Hz.
func timecodeSteps(number uint32) (steps [symbolCount]int) {
	number &= maxTimecode
	steps[0] = startStep
	word := uint64(number)<<8 | uint64(crc8(number))
	for i := symbolCount - 1; i > 0; i-- {
		steps[i] = digitZeroStep + int(word&0xF) //nolint:gosec // a digit
		word >>= 4
	}
	return steps
}

// timecodeSample returns sample n after the Epoch.
func timecodeSample(n uint64) float64 {
	in := int(n % timecodeLength) //nolint:gosec // below timecodeLength
	if in >= symbolsLength {
		return 0
	}
	steps := timecodeSteps(uint32(n / timecodeLength)) //nolint:gosec // wraps by design
	phase := float64(steps[in/symbolLength]*(in%commonPeriod)) / commonPeriod
	return symbolAmplitude * math.Sin(2*math.Pi*phase)
}
