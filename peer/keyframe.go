package peer

import (
	"time"

	"parley/peer/internal/keyframe"
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
	k.missed = !keyframe.Starts(mime, payload) && now.Sub(k.since) < keyPatience
	return k.missed
}
