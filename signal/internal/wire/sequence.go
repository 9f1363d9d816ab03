package wire

import (
	"slices"
	"strconv"
)

const (
	// AckEvery is the number of received messages after which they are acknowledged, unless a
	// message that was sent in between has carried the number.
	AckEvery = 16
	// ackBytes is the number of received bytes with the same effect, because the sender keeps them
	// until then.
	ackBytes = 32 << 10
)

// Sequence numbers the messages of one session in both directions, and keeps those it sends until
// they are acknowledged. So a session can be resumed on another connection, and each message is
// delivered once, in order. The zero value is a new session. Sequence is not safe for concurrent
// use.
type Sequence struct {
	// Keep is how many messages of those that are acknowledged are kept as well, at most KeepBytes
	// in all, because a server that did not get them may continue the session.
	Keep, KeepBytes int

	sent      uint64 // number of the last message sent
	received  uint64 // number of the last message delivered
	acked     uint64 // what of received the peer knows
	freshSize int    // bytes received since
	unacked   []sequencedFrame
	size      int              // bytes of unacked
	kept      []sequencedFrame // acknowledged, the latest
	keptSize  int              // bytes of kept
}

// ContinueSequence returns the sequence of a session that another server has begun: sent and
// received are the numbers of the last messages that this server counts as sent and received.
func ContinueSequence(sent, received uint64) Sequence {
	return Sequence{sent: sent, received: received, acked: received}
}

type sequencedFrame struct {
	number uint64
	frame  []byte
}

// Next returns frame, which is a JSON object, with its number and the number of the last message
// received. It keeps the result until that is acknowledged.
func (s *Sequence) Next(frame []byte) []byte {
	s.sent++
	frame = appendNumbers(nil, frame, s.sent, s.received)
	s.acked, s.freshSize = s.received, 0
	s.unacked = append(s.unacked, sequencedFrame{s.sent, frame})
	s.size += len(frame)
	return frame
}

// Unacked returns how many messages wait for their acknowledgment, and their size in bytes.
func (s *Sequence) Unacked() (messages, bytes int) { return len(s.unacked), s.size }

// Discard drops the messages that wait for their acknowledgment. The session cannot be resumed any
// more.
func (s *Sequence) Discard() { s.unacked, s.size = nil, 0 }

// Sent returns the number of the last message sent.
func (s *Sequence) Sent() uint64 { return s.sent }

// Kept returns how many messages are kept, with those that are acknowledged.
func (s *Sequence) Kept() int { return len(s.unacked) + len(s.kept) }

// Acknowledged returns the number of the last message that was acknowledged.
func (s *Sequence) Acknowledged() uint64 { return s.sent - uint64(len(s.unacked)) }

// Oldest returns the number of the first message that Resume can return.
func (s *Sequence) Oldest() uint64 { return s.Acknowledged() - uint64(len(s.kept)) + 1 }

// Acknowledge drops the messages up to number. It returns false, and drops nothing, if no message
// with that number has been sent.
func (s *Sequence) Acknowledge(number uint64) bool {
	if number > s.sent {
		return false
	}
	i := 0
	for i < len(s.unacked) && s.unacked[i].number <= number {
		s.size -= len(s.unacked[i].frame)
		s.keep(s.unacked[i])
		i++
	}
	if s.unacked = s.unacked[i:]; len(s.unacked) == 0 {
		s.unacked = nil
	}
	return true
}

// keep keeps an acknowledged message. The oldest make room.
func (s *Sequence) keep(f sequencedFrame) {
	if s.Keep == 0 {
		return
	}
	s.kept = append(s.kept, f)
	s.keptSize += len(f.frame)
	for len(s.kept) > s.Keep || s.keptSize > s.KeepBytes {
		s.keptSize -= len(s.kept[0].frame)
		s.kept = s.kept[1:]
	}
}

// Check reports whether a message with that number has not been received before, and whether none
// before it is missing. A message without a number (0) is always new.
func (s *Sequence) Check(number uint64) (isNew, inOrder bool) {
	return number == 0 || number > s.received, number <= s.received+1
}

// Receive notes that the message with that number, of size bytes, has been delivered. Number 0 is
// ignored. It reports whether an acknowledgment is due.
func (s *Sequence) Receive(number uint64, size int) (ackDue bool) {
	if number != 0 {
		s.received = number
		s.freshSize += size
	}
	return s.received-s.acked >= AckEvery || s.freshSize >= ackBytes
}

// Received returns the number of the last message received.
func (s *Sequence) Received() uint64 { return s.received }

// Ack returns the number to acknowledge now, and false if the peer knows it already.
func (s *Sequence) Ack() (number uint64, ok bool) {
	if s.acked == s.received {
		return s.received, false
	}
	s.acked, s.freshSize = s.received, 0
	return s.received, true
}

// Resume continues the session with a peer whose last received message has the number ack. It
// returns the messages to be sent again, and false if the number is of none that was sent, or of
// one that is not kept any more.
func (s *Sequence) Resume(ack uint64) (replay [][]byte, ok bool) {
	if ack+1 < s.Oldest() {
		return nil, false
	}
	if again := s.Acknowledged() - min(ack, s.Acknowledged()); again > 0 { // of those that are kept
		from := len(s.kept) - int(again)
		s.unacked = append(slices.Clone(s.kept[from:]), s.unacked...)
		for _, f := range s.kept[from:] {
			s.size += len(f.frame)
			s.keptSize -= len(f.frame)
		}
		s.kept = s.kept[:from:from]
	}
	if !s.Acknowledge(ack) {
		return nil, false
	}
	s.acked, s.freshSize = s.received, 0
	for _, f := range s.unacked {
		replay = append(replay, f.frame)
	}
	return replay, true
}

// appendNumbers appends a JSON object with the members seq and ack added at its end, so that they
// are the ones that count.
func appendNumbers(dst, object []byte, seq, ack uint64) []byte {
	dst = append(dst, object[:len(object)-1]...)
	if !emptyObject(object) {
		dst = append(dst, ',')
	}
	dst = strconv.AppendUint(append(dst, `"seq":`...), seq, 10)
	dst = strconv.AppendUint(append(dst, `,"ack":`...), ack, 10)
	return append(dst, '}')
}

func emptyObject(object []byte) bool {
	for _, b := range object[1 : len(object)-1] {
		switch b {
		case ' ', '\t', '\r', '\n':
		default:
			return false
		}
	}
	return true
}

// AppendAck appends the frame that acknowledges the messages up to ack, in the form of the call
// dialect.
func AppendAck(dst []byte, ack uint64) []byte {
	return append(strconv.AppendUint(append(dst, `{"type":"ack","ack":`...), ack, 10), '}')
}
