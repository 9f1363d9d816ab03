package jsep

import (
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// isDirection reports whether an attribute is a direction.
func isDirection(a sdp.Attribute) bool {
	return webrtc.NewRTPTransceiverDirection(a.Key) != webrtc.RTPTransceiverDirectionUnknown
}

// directionOf returns the direction of a section, else that of the session, else sendrecv (RFC 8866
// section 6.7).
func directionOf(m *sdp.MediaDescription, s *sdp.SessionDescription) webrtc.RTPTransceiverDirection {
	for _, attributes := range [][]sdp.Attribute{m.Attributes, s.Attributes} {
		for _, a := range attributes {
			if isDirection(a) {
				return webrtc.NewRTPTransceiverDirection(a.Key)
			}
		}
	}
	return webrtc.RTPTransceiverDirectionSendrecv
}

// setDirection gives a section this direction, in the place of its own if it has one.
func setDirection(m *sdp.MediaDescription, d webrtc.RTPTransceiverDirection) {
	for i, a := range m.Attributes {
		if isDirection(a) {
			m.Attributes[i] = sdp.NewPropertyAttribute(d.String())
			return
		}
	}
	m.WithPropertyAttribute(d.String())
}

// answerDirection returns what is left of our direction in a section in which the peer has theirs
// (RFC 3264 section 6.1): we send only what the peer receives, and receive only what it sends.
func answerDirection(ours, theirs webrtc.RTPTransceiverDirection) webrtc.RTPTransceiverDirection {
	we, peer := Section{Direction: ours}, Section{Direction: theirs}
	sends, receives := we.Sends() && peer.Receives(), we.Receives() && peer.Sends()
	switch {
	case sends && receives:
		return webrtc.RTPTransceiverDirectionSendrecv
	case sends:
		return webrtc.RTPTransceiverDirectionSendonly
	case receives:
		return webrtc.RTPTransceiverDirectionRecvonly
	}
	return webrtc.RTPTransceiverDirectionInactive
}
