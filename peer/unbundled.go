package peer

import (
	"slices"

	"github.com/pion/webrtc/v4"

	"parley/peer/internal/jsep"
)

// connectionFor is the connection that a candidate of the other side is for.
func (c *Call) connectionFor(init webrtc.ICECandidateInit) *connection {
	for _, conn := range c.conns {
		for _, s := range conn.sections {
			if init.SDPMid != nil && *init.SDPMid != "" {
				if s.Mid == *init.SDPMid {
					return conn
				}
			} else if init.SDPMLineIndex != nil && s.Index == int(*init.SDPMLineIndex) {
				return conn
			}
		}
	}
	return c.conns[0]
}

// connectionState is the state of a call by those of its connections, as W3C makes the
// state of a connection of those of its transports. One that is added to a call
// that is up counts once it has been connected, and so does one of which nobody has
// a use: webrtcbin leaves those without DTLS.
func (c *Call) connectionState() webrtc.PeerConnectionState {
	count, all := map[webrtc.PeerConnectionState]int{}, 0
	for _, conn := range c.conns {
		if len(c.conns) == 1 || conn.progress.wasConnected || !c.established && !conn.isUnused() {
			count[conn.state]++
			all++
		}
	}
	for _, s := range []webrtc.PeerConnectionState{
		webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed, webrtc.PeerConnectionStateDisconnected,
	} {
		if count[s] > 0 {
			return s
		}
	}
	switch {
	case count[webrtc.PeerConnectionStateConnected] == all:
		return webrtc.PeerConnectionStateConnected
	case count[webrtc.PeerConnectionStateNew] == all:
		return webrtc.PeerConnectionStateNew
	}
	return webrtc.PeerConnectionStateConnecting
}

// isUnused tells if the other side neither sends nor takes anything by a connection.
func (c *connection) isUnused() bool {
	return len(c.remoteSections) > 0 && !slices.ContainsFunc(c.remoteSections, func(s jsep.Section) bool {
		return !s.Rejected && (s.Data || s.Kind != 0 && (s.Sends() || s.Receives()))
	})
}
