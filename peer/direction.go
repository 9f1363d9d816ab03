package peer

import (
	"strings"

	"github.com/pion/webrtc/v4"
)

// Directions are kept right here, because Pion stops a transceiver for good when
// a later offer makes it inactive, which is how a browser holds a call
// (pion/webrtc#2226), and answers with its own direction whatever was offered.

// held is a later offer as Pion gets it: sections on hold look as if the other
// side received, so that they live on; the answer says what is right.
func (d *Description) held() string {
	sections := strings.Split(d.sdp, "\r\nm=")
	for i, s := range d.Sections {
		if s.Direction == webrtc.RTPTransceiverDirectionInactive && s.Kind != 0 && i+1 < len(sections) {
			sections[i+1] = strings.Replace(sections[i+1], "\r\na=inactive\r\n", "\r\na=recvonly\r\n", 1)
		}
	}
	return strings.Join(sections, "\r\nm=")
}

// answering is our answer with directions that fit the offer (RFC 3264 §6.1):
// nothing is sent that the other side does not take, nothing is taken that it
// does not send.
func (d *Description) answering(answer string) string {
	sections := strings.Split(answer, "\r\nm=")
	for i, s := range d.Sections {
		if s.Kind == 0 || i+1 >= len(sections) {
			continue
		}
		for _, ours := range directions() {
			old := "\r\na=" + ours.String() + "\r\n"
			if strings.Contains(sections[i+1]+"\r\n", old) {
				fit := narrowed(ours, s)
				sections[i+1] = strings.TrimSuffix(strings.Replace(sections[i+1]+"\r\n", old, "\r\na="+fit.String()+"\r\n", 1), "\r\n")
				break
			}
		}
	}
	text := strings.Join(sections, "\r\nm=")
	if !strings.HasSuffix(text, "\r\n") {
		text += "\r\n"
	}
	return text
}

func directions() []webrtc.RTPTransceiverDirection {
	return []webrtc.RTPTransceiverDirection{
		webrtc.RTPTransceiverDirectionSendrecv, webrtc.RTPTransceiverDirectionSendonly,
		webrtc.RTPTransceiverDirectionRecvonly, webrtc.RTPTransceiverDirectionInactive,
	}
}

// narrowed is what is left of our direction in a section of the other side.
func narrowed(ours webrtc.RTPTransceiverDirection, s Section) webrtc.RTPTransceiverDirection {
	mine := Section{Direction: ours}
	sends, takes := mine.Sends() && s.Takes(), mine.Takes() && s.Sends()
	switch {
	case sends && takes:
		return webrtc.RTPTransceiverDirectionSendrecv
	case sends:
		return webrtc.RTPTransceiverDirectionSendonly
	case takes:
		return webrtc.RTPTransceiverDirectionRecvonly
	}
	return webrtc.RTPTransceiverDirectionInactive
}
