package datachannel

import (
	"fmt"
	"time"
)

// maxID is the largest stream identifier of a data channel (RFC 8831 section 6.4).
const maxID = 65534

// reuseDelay is how long a stream identifier rests before it is used again. It may be used once
// both directions of the stream were reset (RFC 8831 section 6.7), but Pion does not report when
// the peer has confirmed our reset, and sends the request again until then. What is sent again
// later would reset the new channel.
const reuseDelay = 10 * time.Second

// ErrNoID is the reason of a channel that is not opened: there is no stream identifier for it at
// the moment. It may be tried again.
var ErrNoID = fmt.Errorf("every data channel ID is in use, or was less than %v ago", reuseDelay)

// ids hands out stream identifiers for the channels that we open. Pion's own are never given back
// (webrtc v4.2.20, SCTPTransport.generateAndSetDataChannelID), and looking for one takes longer
// with each: after 32,767 channels none is left. Those that were closed are used again in the order
// of their end, once all others have been used.
type ids struct {
	delay  time.Duration
	known  bool            // the parity is, and next is set
	next   int             // never used, nor those after it
	pions  int             // how many channels have one that Pion chose
	chosen map[uint16]bool // by the application or the peer
	freed  []freedID       // in the order of their end
}

type freedID struct {
	id uint16
	at time.Time
}

func newIDs() ids { return ids{delay: reuseDelay, chosen: map[uint16]bool{}} }

// choose notes an identifier that we do not hand out.
func (i *ids) choose(id uint16) { i.chosen[id] = true }

// learn notes an identifier that Pion chose for a channel of ours. It gives the parity of all of
// ours: even for the DTLS client, odd for the server (RFC 8832 section 6). Pion takes the smallest
// that are left, so the number of those in use bounds what it has chosen for other channels.
func (i *ids) learn(id uint16) {
	if i.known {
		return
	}
	used := i.pions
	for chosen := range i.chosen {
		if chosen%2 == id%2 {
			used++
		}
	}
	i.known, i.next = true, int(id%2)+2*used
}

// take returns an identifier. It returns false while Pion has to choose one, because the parity is
// not known.
func (i *ids) take(now time.Time) (id uint16, ok bool, err error) {
	if !i.known {
		i.pions++
		return 0, false, nil
	}
	for i.next <= maxID {
		id := uint16(i.next)
		i.next += 2
		if !i.chosen[id] {
			return id, true, nil
		}
	}
	for len(i.freed) > 0 && now.Sub(i.freed[0].at) >= i.delay {
		id := i.freed[0].id
		i.freed = i.freed[1:]
		if !i.chosen[id] {
			return id, true, nil
		}
	}
	return 0, false, ErrNoID
}

// free gives an identifier of take back.
func (i *ids) free(id uint16, now time.Time) { i.freed = append(i.freed, freedID{id, now}) }
