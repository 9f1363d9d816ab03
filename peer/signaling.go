package peer

import (
	"context"
	"fmt"
	"time"

	"github.com/pion/webrtc/v4"
)

// A Signaler sends the messages of one call to the peer, in the order of its calls. A method may
// wait until the message is queued, no longer than ctx.
type Signaler interface {
	Offer(ctx context.Context, d SessionDescription) error
	Answer(ctx context.Context, d SessionDescription) error
	// Candidate sends a candidate. One with an empty line is end-of-candidates (RFC 8838 section
	// 13); it is sent to peers that are known to understand it.
	Candidate(ctx context.Context, c webrtc.ICECandidateInit) error
	Leave(ctx context.Context) error
}

// signaling sends messages by the Signaler of a call. It is used by the goroutine of Run.
type signaling struct {
	cfg         *callConfig
	transports  *transports
	peerPresent bool // a description of the peer has come
}

// signalTimeout bounds how long the call waits for its Signaler to queue a message.
const signalTimeout = 10 * time.Second

// send sends a message by a method of the Signaler. A call that was connected goes on when a message
// is lost.
func (s *signaling) send(ctx context.Context, message func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, signalTimeout)
	defer cancel()
	err := message(ctx)
	switch {
	case err == nil:
		return nil
	case s.transports.established:
		s.cfg.OnEvent(Warned{fmt.Sprintf("a message to the peer was lost: %v", err)})
		return nil
	}
	return &Error{Signaling, err}
}

// leave sends a leave, if the peer is there: the original server crashes on one for a user who is not
// logged in.
func (s *signaling) leave() {
	if !s.peerPresent {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Timeouts.Flush)
	defer cancel()
	if err := s.cfg.Signaler.Leave(ctx); err != nil {
		s.cfg.Logger.Debug("leave not sent", "error", err)
	}
}
