package road

// Kind tells the packets of a call apart, as far as that goes from outside: by
// the first byte STUN, DTLS, TURN's channels, and RTP and RTCP (RFC 7983 §7), of
// which the second has the payload or packet type (RFC 5761 §4). Each kind that
// is carried apart meets with fates of its own: how many checks ICE makes in a
// run says nothing of the packets of sound and picture then.
func Kind(packet []byte) uint16 {
	const stun, turn, dtls, other = 0x100, 0x101, 0x102, 0x103
	switch {
	case len(packet) < 2:
		return other
	case packet[0] <= 3:
		return stun
	case packet[0] >= 20 && packet[0] <= 63:
		return dtls
	case packet[0] >= 64 && packet[0] <= 79:
		return turn
	case packet[0] >= 128 && packet[0] <= 191:
		if packet[1] >= 192 && packet[1] <= 223 { // RTCP; its types vary with what there is to say
			return 192
		}
		return uint16(packet[1] & 0x7f) // without the marker
	}
	return other
}
