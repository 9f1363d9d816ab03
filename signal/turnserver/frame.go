package turnserver

import (
	"bufio"
	"encoding/binary"
	"errors"
)

const (
	// maxMessage is the longest message that pion/turn looks at; the longest that WebRTC sends are 1500 bytes.
	maxMessage  = 1599
	frameBuffer = 2048

	stunHeader    = 20
	channelHeader = 4
	magicCookie   = 0x2112A442
)

var errNoMessage = errors.New("neither STUN nor TURN was said")

// isTLS tells if a stream that begins with b is TLS: a handshake record is 22, a STUN message begins with two zero bits and a
// method below 16, channel data with 01 (RFC 7983).
func isTLS(b byte) bool { return b == 22 }

// readFrame reads one message of a stream: STUN, or channel data padded to four bytes (RFC 8656 section 12.5). Messages that are too
// long are skipped. The result is valid until the next call.
func readFrame(r *bufio.Reader) ([]byte, error) {
	for {
		size, err := frameSize(r)
		if err != nil {
			return nil, err
		}
		if size <= maxMessage {
			frame, err := r.Peek(size)
			if err != nil {
				return nil, err
			}
			_, err = r.Discard(size) // does not move what was peeked
			return frame, err
		}
		if _, err := r.Discard(size); err != nil {
			return nil, err
		}
	}
}

// frameSize is the length of the message that comes next, header and padding included.
func frameSize(r *bufio.Reader) (int, error) {
	h, err := r.Peek(channelHeader)
	if err != nil {
		return 0, err
	}
	length := int(binary.BigEndian.Uint16(h[2:]))
	switch h[0] >> 6 {
	case 0: // STUN
		if h, err = r.Peek(stunHeader); err != nil {
			return 0, err
		}
		if binary.BigEndian.Uint32(h[4:]) != magicCookie || length%4 != 0 {
			return 0, errNoMessage
		}
		return stunHeader + length, nil
	case 1: // channel data: up to 0x4FFF today, to 0x7FFF in RFC 5766 and in coturn's client
		return channelHeader + (length+3)&^3, nil
	}
	return 0, errNoMessage
}
