package codec

// bitReader reads a header bit by bit. After the end it returns zeros.
type bitReader struct {
	data  []byte
	pos   int  // in bits
	short bool // data ended, or held a code that is too long
}

// bits reads n bits as an unsigned integer, the most significant first. n is at most 32.
func (r *bitReader) bits(n int) uint32 {
	var v uint32
	for range n {
		v <<= 1
		if r.pos>>3 >= len(r.data) {
			r.short = true
			continue
		}
		v |= uint32(r.data[r.pos>>3]>>(7-r.pos&7)) & 1
		r.pos++
	}
	return v
}

// flag reads one bit.
func (r *bitReader) flag() bool { return r.bits(1) == 1 }

// skip skips n bits.
func (r *bitReader) skip(n int) {
	r.pos += n
	if r.pos > len(r.data)*8 {
		r.pos, r.short = len(r.data)*8, true
	}
}

// ue reads an unsigned Exp-Golomb code (H.264 section 9.1).
func (r *bitReader) ue() uint32 {
	zeros := 0
	for !r.flag() {
		zeros++
		if r.short || zeros > 31 {
			r.short = true
			return 0
		}
	}
	return 1<<zeros - 1 + r.bits(zeros)
}

// se reads a signed Exp-Golomb code (H.264 section 9.1.1).
func (r *bitReader) se() int32 {
	code := r.ue()
	if code&1 != 0 {
		return int32(code/2) + 1 //nolint:gosec // at most 31 bits
	}
	return -int32(code / 2) //nolint:gosec // at most 31 bits
}

// uvlc reads a variable-length unsigned integer (AV1 section 4.10.3).
func (r *bitReader) uvlc() uint32 {
	zeros := 0
	for !r.flag() {
		zeros++
		if r.short || zeros >= 32 {
			return 0
		}
	}
	return 1<<zeros - 1 + r.bits(zeros)
}
