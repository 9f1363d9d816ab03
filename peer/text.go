package peer

import (
	"errors"
	"time"

	"parley/peer/datachannel"
)

// A textSender sends the lines of Say on a data channel. The goroutine of Run uses it.
type textSender struct {
	cfg *callConfig
	box *mailbox
	textChannels
}

// send sends the lines that wait, if there is a channel for them.
func (t *textSender) send() {
	if t.cfg.gate.closed.Load() {
		return
	}
	ch, lines := t.due()
	for _, line := range lines {
		if err := ch.Send([]byte(line), true); err != nil {
			t.cfg.OnEvent(TextRejected{line, err})
			continue
		}
		t.cfg.OnEvent(TextSent{ch, line})
	}
}

// textChannels selects the data channel that our text is sent on. It has no clock and does not use
// Pion: the call reports to it what happens.
//
// The caller opens a channel. Our page and another terminal listen on it. The original text page
// opens a channel of its own with the same label, and listens on that alone, whichever end calls.
// It opens it before the call, so both channels open at about the same time. Hence: a channel of
// the peer is preferred; on our own nothing is sent until something was received on it, or the peer
// has had a moment (peerChannelGrace) to open one.
type textChannels struct {
	named   bool                 // we opened a channel for text
	label   string               // of that channel
	own     *datachannel.Channel // open, ours
	theirs  *datachannel.Channel // open, the peer's, with the same label if we have one
	certain bool                 // the peer listens on own
	waiting []string
}

// peerChannelGrace is how long the peer has to open a channel of its own after ours opened. It
// sends its request before it acknowledges ours.
const peerChannelGrace = 250 * time.Millisecond

// maxWaiting is how many lines wait for a channel.
const maxWaiting = 1024

var errTooManyWait = errors.New("too many lines wait for a data channel")

// textChannel describes a channel to textChannels.
type textChannel struct {
	label              string
	byPeer, negotiated bool
}

// opened handles a channel that was opened. It reports whether to wait for peerChannelGrace.
func (t *textChannels) opened(ch *datachannel.Channel, is textChannel) (grace bool) {
	fits := !t.named || is.label == t.label
	switch {
	case is.byPeer && t.theirs == nil && fits:
		t.theirs = ch
	case !is.byPeer && t.own == nil && fits:
		t.own = ch
		t.certain = t.certain || is.negotiated // the peer has opened it too
		return !t.certain
	}
	return false
}

// closed handles a channel that was closed.
func (t *textChannels) closed(ch *datachannel.Channel) {
	switch ch {
	case t.own:
		t.own, t.certain = nil, false
	case t.theirs:
		t.theirs = nil
	}
}

// received handles a message of the peer: a peer that sends on our channel listens on it.
func (t *textChannels) received(ch *datachannel.Channel) {
	if ch == t.own {
		t.certain = true
	}
}

// add adds a line. It reports false if too many wait.
func (t *textChannels) add(line string) bool {
	if len(t.waiting) >= maxWaiting {
		return false
	}
	t.waiting = append(t.waiting, line)
	return true
}

// channel returns the channel for text, nil while there is none.
func (t *textChannels) channel() *datachannel.Channel {
	if t.theirs == nil && t.certain {
		return t.own
	}
	return t.theirs
}

// due returns the lines to send now, and the channel.
func (t *textChannels) due() (*datachannel.Channel, []string) {
	ch := t.channel()
	if ch == nil {
		return nil, nil
	}
	lines := t.waiting
	t.waiting = nil
	return ch, lines
}
