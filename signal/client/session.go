package client

import (
	"sync"
	"time"

	"parley/signal"
	"parley/signal/internal/wire"
)

// session is what a Client needs to resume its session after the connection broke, so that each
// message is delivered once, in order.
type session struct {
	ackReceived chan struct{} // holds a token after an acknowledgment
	ackDue      chan struct{} // holds a token when an acknowledgment is to be sent

	mu            sync.Mutex // guards what follows
	resumeToken   string     // "" while the server does not let the client resume
	name          string     // of the latest login
	resumeTimeout time.Duration
	sequence      wire.Sequence
	types         []signal.Type // of the messages that sequence keeps
	calls         callNumbers
}

// window is how many messages may be unacknowledged; the server acknowledges every sixteenth at
// least.
const window = 4 * wire.AckEvery

// keptMessages and keptBytes bound the acknowledged messages that are kept for a server that
// continues the session of one that has failed.
const (
	keptMessages = 64
	keptBytes    = 128 << 10
)

func newSession() *session {
	return &session{ackReceived: make(chan struct{}, 1), ackDue: make(chan struct{}, 1)}
}

// start starts a session that can be resumed with token, within timeout of a loss.
func (s *session) start(token string, timeout time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resumeToken, s.resumeTimeout, s.types, s.calls = token, timeout, nil, callNumbers{}
	s.sequence = wire.Sequence{Keep: keptMessages, KeepBytes: keptBytes}
}

// continued notes that another server continues the session, which can be resumed with token.
func (s *session) continued(token string, timeout time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resumeToken, s.resumeTimeout = token, timeout
}

func (s *session) setName(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.name = name
}

// resumable reports whether the server lets the client resume.
func (s *session) resumable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.resumeToken != ""
}

// resumeRequest returns what a client sends to resume the session.
func (s *session) resumeRequest() wire.LoginRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return wire.LoginRequest{
		Name: s.name, Extended: true, ResumeToken: s.resumeToken, Ack: s.sequence.Received(),
		Continuation: wire.Continuation{Oldest: s.sequence.Oldest(), Served: s.sequence.Acknowledged(), Sent: s.sequence.Sent(), Calls: s.calls.list()},
	}
}

// windowFull reports whether nothing more may be sent before an acknowledgment.
func (s *session) windowFull() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	messages, _ := s.sequence.Unacked()
	return messages >= window
}

// number returns the frame of o with its number, and keeps it until it is acknowledged.
func (s *session) number(o outgoing) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.resumeToken == "" {
		return o.frame
	}
	s.types = append(s.types, o.typ)
	frame := s.sequence.Next(o.frame)
	s.calls.noteSent(o.typ, o.peer, s.sequence.Sent())
	return frame
}

// accept handles the numbers of a frame from the server. It reports whether the frame is new, and
// whether none before it is missing. The frame counts as received only with delivered.
func (s *session) accept(seq, ack uint64) (isNew, inOrder bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.resumeToken == "" {
		return true, true
	}
	before := s.sequence.Acknowledged()
	s.sequence.Acknowledge(ack)
	if s.sequence.Acknowledged() > before {
		s.trimLocked()
		wake(s.ackReceived)
	}
	return s.sequence.Check(seq)
}

// delivered records that the frame with this number, with message m if it is one, is in the receive
// queue. number is that of the message at its sender.
func (s *session) delivered(seq uint64, size int, m signal.Message, number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls.noteReceived(m, number)
	if s.resumeToken != "" && s.sequence.Receive(seq, size) {
		wake(s.ackDue)
	}
}

// ack returns the frame that acknowledges what has arrived, nil if the server knows.
func (s *session) ack(w wire.Codec) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.resumeToken == "" {
		return nil
	}
	number, ok := s.sequence.Ack()
	if !ok {
		return nil
	}
	return w.Ack(number)
}

// replayFrom returns the frames to be sent again to a server whose last received message has the
// number ack, and false if that cannot be.
func (s *session) replayFrom(ack uint64) (replay []outgoing, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	frames, ok := s.sequence.Resume(ack)
	s.trimLocked()
	types := s.types[len(s.types)-len(frames):]
	for i, frame := range frames {
		replay = append(replay, outgoing{frame: frame, typ: types[i]})
	}
	return replay, ok
}

// trimLocked drops what is known of messages that are not kept any more.
func (s *session) trimLocked() {
	s.types = s.types[len(s.types)-s.sequence.Kept():]
	s.calls.trim(s.sequence.Acknowledged())
}

// wake puts a token into a channel that has room for one, unless it is there.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
