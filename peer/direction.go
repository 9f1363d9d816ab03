package peer

import (
	"strings"

	"github.com/pion/webrtc/v4"
)

// Directions are kept right here, because Pion stops a transceiver for good when
// a later offer makes it inactive, which is how a browser holds a call
// (pion/webrtc#2226), and answers with its own direction whatever was offered.

// held is the text of a later description as Pion gets it: sections on hold look as if the
// other side received, so that they live on, and those that name the source of a
// track that does not send now as if it did, so that its receiver does; the
// answer says what is right.
func (d *Description) held(text string) string {
	sections := strings.Split(text, "\r\nm=")
	for i, s := range d.Sections {
		if s.Kind == 0 || i+1 >= len(sections) {
			continue
		}
		alive := webrtc.RTPTransceiverDirectionRecvonly
		if strings.Contains(sections[i+1], "\r\na=ssrc:") || strings.Contains(sections[i+1], "\r\n"+soleLine) {
			alive = webrtc.RTPTransceiverDirectionSendrecv
		}
		if s.Direction == webrtc.RTPTransceiverDirectionInactive || s.Direction == webrtc.RTPTransceiverDirectionRecvonly {
			sections[i+1] = redirected(sections[i+1], s.Direction.String(), alive.String())
		}
	}
	return strings.Join(sections, "\r\nm=")
}

// redirected is a section with another direction in place of one, if that is
// what it has; its last line may have no end.
func redirected(section, old, new string) string {
	text := strings.Replace(section+"\r\n", "\r\na="+old+"\r\n", "\r\na="+new+"\r\n", 1)
	return strings.TrimSuffix(text, "\r\n")
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
			if fit := narrowed(ours, s); strings.Contains(sections[i+1]+"\r\n", "\r\na="+ours.String()+"\r\n") {
				sections[i+1] = redirected(sections[i+1], ours.String(), fit.String())
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
