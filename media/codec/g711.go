package codec

// DecodeMuLaw returns a sample of µ-law (ITU-T G.711) between -1 and 1.
func DecodeMuLaw(b byte) float32 {
	b = ^b
	v := (int(b&0xF)<<3+132)<<(b>>4&7) - 132
	if b&0x80 != 0 {
		v = -v
	}
	return float32(v) / (1 << 15)
}

// DecodeALaw returns a sample of A-law (ITU-T G.711) between -1 and 1.
func DecodeALaw(b byte) float32 {
	b ^= 0x55
	v := int(b&0xF)<<4 + 8
	if e := b >> 4 & 7; e > 0 {
		v = (v + 256) << (e - 1)
	}
	if b&0x80 == 0 {
		v = -v
	}
	return float32(v) / (1 << 15)
}
