package main

import (
	"fmt"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/sanitize"
	"parley/peer"
)

// gapData is the kind of a gap in a call without media that come: that of its
// path, by what came on the data channels and by ICE's consent.
const gapData = "data"

// measurePath reports how long the path was away, on the call's goroutine. In a
// call with media their gaps show it better.
func (c *session) measurePath(e peer.StateChanged) {
	switch e.State {
	case webrtc.PeerConnectionStateDisconnected, webrtc.PeerConnectionStateFailed:
		if c.disconnectedAt.IsZero() {
			c.disconnectedAt = time.Now().Add(-e.Silence)
		}
	case webrtc.PeerConnectionStateConnected:
		if !c.disconnectedAt.IsZero() && !c.received.any() {
			length := time.Since(c.disconnectedAt)
			c.emit(event.Event{Name: "gap", Peer: c.name,
				Fields:  event.Fields("kind", gapData, "ms", length.Milliseconds(), "cause", gapOutage),
				Message: fmt.Sprintf("the path to %s was away for %.1f s", sanitize.Text(c.name), length.Seconds())})
		}
		c.disconnectedAt = time.Time{}
	}
}
