package media

// opusDuration is the number of samples at 48 kHz that a packet holds, 0 if it is no valid packet (RFC 6716 section 3.1
// and 3.2, errors R1 to R7 as far as the table of contents shows them).
func opusDuration(packet []byte) int {
	if len(packet) == 0 {
		return 0
	}
	frames := 0
	switch packet[0] & 3 {
	case 0:
		frames = 1
	case 1, 2:
		frames = 2
	default:
		if len(packet) < 2 {
			return 0
		}
		frames = int(packet[1] & 0x3F)
	}
	samples := frames * opusFrameSamples(packet[0]>>3)
	if samples > opusClock*120/1000 {
		return 0
	}
	return samples
}

// opusFrameSamples is the length of one frame of a configuration (RFC 6716 table 2).
func opusFrameSamples(config byte) int {
	switch {
	case config < 12: // SILK: 10, 20, 40, 60 ms
		return [4]int{480, 960, 1920, 2880}[config&3]
	case config < 16: // hybrid: 10, 20 ms
		return [2]int{480, 960}[config&1]
	default: // CELT: 2.5, 5, 10, 20 ms
		return 120 << (config & 3)
	}
}
