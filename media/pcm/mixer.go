package pcm

import "math/bits"

// Mixer mixes interleaved samples of any number of channels to one or two. It keeps mono and
// stereo. It mixes more channels to stereo with the coefficients of ITU-R BS.775: center and
// surround channels are attenuated by 3 dB, and the LFE channel is left out. The sum of loud
// channels may exceed 1: nothing is scaled down, so that dialog keeps its level.
type Mixer struct {
	channels    int
	left, right []float32 // gain of each channel; nil keeps the samples
}

// NewMixer returns a mixer. mask has the speaker positions of the channels as in the header of a
// WAV file. If the number of its bits is not the number of channels, the positions are those of RFC
// 9639 section 9.1.3. More than 8 channels without positions are averaged.
func NewMixer(channels int, mask uint32) *Mixer {
	m := &Mixer{channels: channels}
	if channels <= 2 {
		return m
	}
	m.left, m.right = make([]float32, channels), make([]float32, channels)
	if bits.OnesCount32(mask) != channels {
		if channels > len(layouts()) {
			for i := range channels {
				m.left[i], m.right[i] = 1/float32(channels), 1/float32(channels)
			}
			return m
		}
		mask = layouts()[channels-1]
	}
	for i := range channels {
		position := bits.TrailingZeros32(mask)
		mask &= mask - 1
		if gains := gains(); position < len(gains) {
			m.left[i], m.right[i] = gains[position][0], gains[position][1]
		}
	}
	return m
}

// layouts returns the masks for 1 to 8 channels.
func layouts() []uint32 { return []uint32{0x4, 0x3, 0x7, 0x33, 0x37, 0x3F, 0x70F, 0x63F} }

// gains returns the gains to the left and right of the speaker positions, in the order of the bits
// of a mask.
func gains() [][2]float32 {
	const attenuated = 0.70710678 // -3 dB
	return [][2]float32{
		{1, 0}, {0, 1}, {attenuated, attenuated}, {0, 0}, // front left, right, center, LFE
		{attenuated, 0}, {0, attenuated}, {1, 0}, {0, 1}, {0.5, 0.5}, // back left, right; front left, right of center; back center
		{attenuated, 0}, {0, attenuated}, // side left, right
		{0.5, 0.5}, {attenuated, 0}, {0.5, 0.5}, {0, attenuated}, {attenuated, 0}, {0.5, 0.5}, {0, attenuated}, // above
	}
}

// Channels returns the number of channels of the result.
func (m *Mixer) Channels() int { return min(m.channels, 2) }

// Append mixes in, which has whole frames, and appends the result to out.
func (m *Mixer) Append(out, in []float32) []float32 {
	if m.left == nil {
		return append(out, in...)
	}
	for ; len(in) >= m.channels; in = in[m.channels:] {
		var left, right float32
		for i, v := range in[:m.channels] {
			left += v * m.left[i]
			right += v * m.right[i]
		}
		out = append(out, left, right)
	}
	return out
}
