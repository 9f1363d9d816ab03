package server

import (
	"parley/signal/cluster"
	"parley/signal/internal/wsconn"
)

// What peers send must not fill the queue of a client that reads slowly, because a full queue ends
// the connection. An eighth of it is left to the server's own messages: replies, and the leave of
// every call.
//
// In a call, a peer may have as much waiting as is free of three quarters of the queue (Choudhury
// and Hahne, Dynamic Queue Length Thresholds, 1998): one peer that floods gets half of that, two
// get a third each, and a peer that has sent little gets what it needs. What opens a call may use
// the eighth above, so that peers in a call do not keep others out. A peer that calls and hangs up
// again and again gets half of the queue only, so that it does not keep out the peers in a call.

const (
	// maxFrameHeader is the longest header of a frame from the server (RFC 6455 section 5.2).
	maxFrameHeader = 10
	// queueOverhead is what a message has in the queue beside payload and name: the other members,
	// both numbers, and the header of the frame.
	queueOverhead = 100
)

// queuedSize returns about how many bytes a message of another session takes in the queue.
func queuedSize(m *cluster.Message) int { return len(m.Payload) + len(m.FromName) + queueOverhead }

// hasRoomForCall reports whether a message of n bytes may open a call. again means that a call with
// the same peer has ended recently.
func hasRoomForCall(b wsconn.Backlog, n int, again bool) bool {
	if again {
		return b.Waiting+n <= b.Limit/2
	}
	return b.Waiting+n <= b.Limit/8*7
}

// share is what one peer has in the queue of a client.
type share struct {
	waiting int    // bytes at most
	end     uint64 // where the last of them ends: how much is written then
}

// current returns how much of it waits.
func (s *share) current(b wsconn.Backlog) int {
	if s.end <= b.Written {
		return 0
	}
	return min(s.waiting, int(s.end-b.Written))
}

// hasRoom reports whether the peer may have n bytes more waiting.
func (s *share) hasRoom(b wsconn.Backlog, n int) bool {
	return s.current(b)+n <= b.Limit/4*3-b.Waiting
}

// add adds n bytes, which are queued next.
func (s *share) add(b wsconn.Backlog, n int) {
	s.waiting, s.end = s.current(b)+n, b.Written+uint64(b.Waiting+n)
}
