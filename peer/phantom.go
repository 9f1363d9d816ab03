package peer

import (
	"slices"

	"github.com/pion/webrtc/v4"

	"parley/peer/internal/jsep"
)

// What comes before the description that would say what it is, in a call without
// MIDs, is heard by a transceiver that Pion makes when the first packet comes; all
// else that nobody declares, see jsep.Synthetic. It would be one more section in our
// next offer, which is none of the call's.

// isUnsignaled tells if Pion has made a transceiver for what nobody had declared: it
// has a track to send that is not ours.
func (c *connection) isUnsignaled(t *webrtc.RTPTransceiver) bool {
	sender := t.Sender()
	return sender != nil && sender.Track() != nil && c.localTrackOf(t) == nil
}

// negotiatedTransceiver is the transceiver of the section that a phantom receives for.
func (c *connection) negotiatedTransceiver(phantom *webrtc.RTPTransceiver) *webrtc.RTPTransceiver {
	sends := func(mid string) bool {
		return slices.ContainsFunc(c.remoteSections, func(s jsep.Section) bool { return s.Mid == mid && !s.Rejected && s.Sends() })
	}
	for _, t := range c.pc.GetTransceivers() {
		if t.Kind() == phantom.Kind() && !c.isUnsignaled(t) && sends(t.Mid()) && t.Receiver().Track() == nil {
			return t
		}
	}
	return phantom
}
