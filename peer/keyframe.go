package peer

import (
	"strings"
	"time"

	"github.com/pion/webrtc/v4"
)

// keyPatience is how long a picture that was not sent for a while stays away for want of a key frame: the time between
// two that encoders of files take at most, as a rule. Who refreshes pictures bit by bit sends none at all.
const keyPatience = 10 * time.Second

// keyWait keeps back what cannot be decoded after something was not sent: the numbers of packets do not tell the other
// side that anything is missing, so that it would decode, and record, on top of a picture that it does not have.
type keyWait struct {
	missed bool
	since  time.Time // when the first packet was kept back, zero if none was
}

// miss takes note that packets are not sent, or come from elsewhere from now on.
func (k *keyWait) miss() { *k = keyWait{missed: true} }

// keeps tells if a packet is kept back.
func (k *keyWait) keeps(mime string, payload []byte, now time.Time) bool {
	if !k.missed {
		return false
	}
	if k.since.IsZero() {
		k.since = now
	}
	k.missed = !beginsKeyFrame(mime, payload) && now.Sub(k.since) < keyPatience
	return k.missed
}

// beginsKeyFrame tells if the payload of an RTP packet is the first of a picture that needs no other one. Of what it
// does not know it says so too.
func beginsKeyFrame(mime string, payload []byte) bool {
	begins := func([]byte) bool { return true }
	switch {
	case len(payload) == 0:
		return false
	case strings.EqualFold(mime, webrtc.MimeTypeVP8):
		begins = beginsKeyVP8
	case strings.EqualFold(mime, webrtc.MimeTypeVP9):
		begins = beginsKeyVP9
	case strings.EqualFold(mime, webrtc.MimeTypeH264):
		begins = beginsKeyH264
	case strings.EqualFold(mime, webrtc.MimeTypeAV1):
		begins = beginsKeyAV1
	}
	return begins(payload)
}

// beginsKeyVP8: RFC 7741 §4.2 and §4.3.
func beginsKeyVP8(p []byte) bool {
	if p[0]&0x17 != 0x10 { // the start of the first partition
		return false
	}
	at := 1
	if p[0]&0x80 != 0 && len(p) > 1 {
		extended := p[1]
		at = 2
		if extended&0x80 != 0 { // picture ID, of one byte or two
			at++
			if len(p) > 2 && p[2]&0x80 != 0 {
				at++
			}
		}
		if extended&0x40 != 0 {
			at++
		}
		if extended&0x30 != 0 {
			at++
		}
	}
	return len(p) > at && p[at]&1 == 0
}

// beginsKeyVP9: RFC 9628 §4.2. The lowest of several layers counts.
func beginsKeyVP9(p []byte) bool {
	const picture, predicted, layered, start = 0x80, 0x40, 0x20, 0x08
	if p[0]&start == 0 || p[0]&predicted != 0 {
		return false
	}
	at := 1
	if p[0]&picture != 0 {
		at++
		if len(p) > 1 && p[1]&0x80 != 0 {
			at++
		}
	}
	return p[0]&layered == 0 || len(p) > at && p[at]&0x0e == 0
}

// beginsKeyH264: RFC 6184 §5.4 to §5.8. The parameter sets go before the picture.
func beginsKeyH264(p []byte) bool {
	const idr, sps, aggregate, fragment = 5, 7, 24, 28
	isKey := func(unit byte) bool { return unit&31 == idr || unit&31 == sps }
	switch p[0] & 31 {
	case aggregate:
		for p = p[1:]; len(p) > 2; p = p[min(len(p), 2+(int(p[0])<<8|int(p[1]))):] {
			if isKey(p[2]) {
				return true
			}
		}
		return false
	case fragment:
		return len(p) > 1 && p[1]&0x80 != 0 && isKey(p[1])
	}
	return isKey(p[0])
}

// beginsKeyAV1: the RTP payload format for AV1, §4.4: N, and not Z.
func beginsKeyAV1(p []byte) bool { return p[0]&0x88 == 0x08 }
