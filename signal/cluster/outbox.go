package cluster

import (
	"slices"
	"sync"
)

// Outbox sends the messages of a session, one after the other, as Router wants it. The mutex of the
// session guards it.
type Outbox struct {
	sending bool // a goroutine is sending
	queue   []Outgoing
}

// Outgoing is a message on its way to another session.
type Outgoing struct {
	To SessionID
	Message
}

// Sending reports whether messages have not been sent yet.
func (o *Outbox) Sending() bool { return o.sending }

// Queue makes the next Send, or the one that is running, send a message that is not changed any
// more.
func (o *Outbox) Queue(m Outgoing) { o.queue = append(o.queue, m) }

// Send sends a message after all that were queued or sent before; if another goroutine is sending,
// that one does it. mu is held, but not while a message is sent.
func (o *Outbox) Send(mu *sync.Mutex, r Router, to SessionID, m *Message, b Batch) {
	if o.sending {
		next := Outgoing{to, *m}
		next.Payload = slices.Clone(m.Payload)
		o.queue = append(o.queue, next)
		return
	}
	o.sending = true
	for {
		mu.Unlock()
		r.Send(to, *m, b)
		mu.Lock()
		if len(o.queue) == 0 {
			break
		}
		to, m = o.queue[0].To, &o.queue[0].Message
		o.queue = o.queue[1:]
	}
	o.sending, o.queue = false, nil
}
