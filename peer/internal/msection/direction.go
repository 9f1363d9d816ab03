package msection

import (
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// IsDirection reports whether an attribute is a direction.
func IsDirection(a sdp.Attribute) bool {
	return webrtc.NewRTPTransceiverDirection(a.Key) != webrtc.RTPTransceiverDirectionUnknown
}

// Direction returns the direction of a section, else that of the session, else sendrecv (RFC 8866
// section 6.7).
func Direction(m *sdp.MediaDescription, s *sdp.SessionDescription) webrtc.RTPTransceiverDirection {
	for _, attributes := range [][]sdp.Attribute{m.Attributes, s.Attributes} {
		for _, a := range attributes {
			if IsDirection(a) {
				return webrtc.NewRTPTransceiverDirection(a.Key)
			}
		}
	}
	return webrtc.RTPTransceiverDirectionSendrecv
}

// SetDirection gives a section this direction, in the place of its own if it has one.
func SetDirection(m *sdp.MediaDescription, d webrtc.RTPTransceiverDirection) {
	for i, a := range m.Attributes {
		if IsDirection(a) {
			m.Attributes[i] = sdp.NewPropertyAttribute(d.String())
			return
		}
	}
	m.WithPropertyAttribute(d.String())
}
