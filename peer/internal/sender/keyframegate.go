package sender

import (
	"time"

	"parley/peer/internal/keyframe"
)

// keyFrameTimeout bounds how long frames are dropped for want of a key frame. Encoders of files
// rarely leave more time between two of them. Encoders with intra refresh make none at all.
const keyFrameTimeout = 10 * time.Second

// keyFrameGate drops frames that cannot be decoded because packets before them were not sent.
// Sequence numbers do not show the gap: a receiver would decode on top of a frame that it does not
// have.
type keyFrameGate struct {
	closed bool
	since  time.Time // when the first packet was dropped, zero if none was
}

// close drops packets until the next key frame.
func (g *keyFrameGate) close() { *g = keyFrameGate{closed: true} }

// passes reports whether a packet is to be sent.
func (g *keyFrameGate) passes(mime string, payload []byte, now time.Time) bool {
	if !g.closed {
		return true
	}
	if g.since.IsZero() {
		g.since = now
	}
	g.closed = !keyframe.Starts(mime, payload) && now.Sub(g.since) < keyFrameTimeout
	return !g.closed
}
