package peer

import (
	"errors"
	"time"
)

// talk decides on which channel the text of this side goes. It has no clock and
// no Pion, the call tells it what happens.
//
// The caller opens a channel. Our page and another terminal listen on it. The
// original text page opens a channel of its own with the same label, and hears
// only that one, whoever calls. It opens it before the call, so both channels
// come up at about the same time. Hence: a channel of the other side is
// preferred; on our own nothing is said until something was heard on it, or the
// other side has had a moment (hearingGrace) to open one.
type talk struct {
	named   bool     // this side opened a channel for text
	label   string   // of that channel
	own     *Channel // open, ours
	theirs  *Channel // open, the other side's, with the same label if we have one
	certain bool     // what is said on own is heard
	waiting []string
}

// hearingGrace is how long the other side has to open a channel of its own
// after ours opened. Its request to open is sent before it confirms ours.
const hearingGrace = 250 * time.Millisecond

// maxWaiting is how many lines wait for a channel.
const maxWaiting = 1024

var errTooManyWait = errors.New("too many lines wait for a data channel")

// opened notes a channel. It tells if a grace has to be waited for.
func (t *talk) opened(ch *Channel) (grace bool) {
	fits := !t.named || ch.Label() == t.label
	switch {
	case ch.OpenedByPeer() && t.theirs == nil && fits:
		t.theirs = ch
	case !ch.OpenedByPeer() && t.own == nil && fits:
		t.own = ch
		t.certain = t.certain || ch.dc.Negotiated() // the other side has opened it too
		return !t.certain
	}
	return false
}

func (t *talk) closed(ch *Channel) {
	switch ch {
	case t.own:
		t.own, t.certain = nil, false
	case t.theirs:
		t.theirs = nil
	}
}

// heard notes a message of the other side: who writes on our channel, listens
// on it.
func (t *talk) heard(ch *Channel) {
	if ch == t.own {
		t.certain = true
	}
}

// say adds a line; false if too many wait.
func (t *talk) say(line string) bool {
	if len(t.waiting) >= maxWaiting {
		return false
	}
	t.waiting = append(t.waiting, line)
	return true
}

// due returns the lines to send now, and where.
func (t *talk) due() (*Channel, []string) {
	ch := t.theirs
	if ch == nil && t.certain {
		ch = t.own
	}
	if ch == nil {
		return nil, nil
	}
	lines := t.waiting
	t.waiting = nil
	return ch, lines
}
