package server

import (
	"parley/signal/internal/wsconn"

	"parley/signal"
	"parley/signal/internal/wire"
)

// verdict is what became of a message for another user.
type verdict int

const (
	delivered verdict = iota
	// dropped: it crossed the end of its call, and nobody needs to be told.
	dropped
	absent
	noCall
	tooMany
	nameless // the sender lost its name
)

// deliver queues a message of the call dialect from s for the user called name.
func (h *hub) deliver(w *wsconn.Batch, s *session, typ signal.Type, name string, payload []byte) verdict {
	if typ == signal.ICECandidate { // changes no state, so candidates run side by side
		h.mu.RLock()
		defer h.mu.RUnlock()
	} else {
		h.mu.Lock()
		defer h.mu.Unlock()
	}
	if s.name == "" {
		return nameless
	}
	target, v := h.targetLocked(s, typ, name)
	if v != delivered {
		return v
	}
	w.Scratch = wire.AppendDelivery(w.Scratch[:0], typ, payload, s.name)
	target.send(w, w.Scratch)
	return delivered
}

// targetLocked returns the session that a message is for, and changes the state of the call as the message does:
//
//	offer                opens a call with who holds the name now
//	answer               needs an open call in which the other has offered
//	candidate, leave     need an open call; a leave closes it
func (h *hub) targetLocked(s *session, typ signal.Type, name string) (*session, verdict) {
	c := s.calls[name]
	switch typ {
	case signal.Offer:
		target := h.users[name]
		if target == nil {
			s.noteEnded(name)
			return nil, absent
		}
		if !h.openLocked(s, target) {
			return nil, tooMany
		}
		s.calls[name].offered = true
		return target, delivered
	case signal.Answer:
		if c == nil && h.users[name] == nil {
			return nil, absent
		}
		if c == nil || !c.peer.calls[s.name].offered {
			return nil, s.withoutCall(typ, name)
		}
	case signal.ICECandidate:
		if c == nil {
			return nil, s.withoutCall(typ, name)
		}
	case signal.Leave:
		if c == nil {
			return nil, s.withoutCall(typ, name)
		}
		h.closeLocked(s, c)
	}
	return c.peer, delivered
}

// withoutCall judges a message outside a call. Under the read lock it changes nothing.
func (s *session) withoutCall(typ signal.Type, name string) verdict {
	known := false
	if typ == signal.Leave { // confirms the end; from now on nothing can be on its way
		known = s.forgive(name)
	} else {
		for _, n := range s.ended {
			known = known || n == name
		}
	}
	if known {
		return dropped
	}
	return noCall
}

// openLocked opens the call between two sessions if it is not, and reports whether it is open now.
func (h *hub) openLocked(s, target *session) bool {
	if c := s.calls[target.name]; c != nil {
		return true
	}
	if len(s.calls) >= h.maxCalls || len(target.calls) >= h.maxCalls {
		return false
	}
	s.enter(target)
	target.enter(s)
	h.open++
	return true
}

func (s *session) enter(peer *session) {
	if s.calls == nil {
		s.calls = make(map[string]*call, 1)
	}
	if s.calls[peer.name] == nil { // it is there when somebody calls oneself
		s.calls[peer.name] = &call{peer: peer}
	}
	s.forgive(peer.name)
}

// closeLocked closes a call that s hangs up.
func (h *hub) closeLocked(s *session, c *call) {
	h.open--
	delete(s.calls, c.peer.name)
	if c.peer != s {
		delete(c.peer.calls, s.name)
		c.peer.noteEnded(s.name)
	}
	s.trim()
	c.peer.trim()
}

// trim gives back what a user in no call does not need.
func (s *session) trim() {
	if len(s.calls) == 0 {
		s.calls = nil
	}
}

// pass queues a message of the relay dialect, as it is, for the user called name. The first message opens a call between the two;
// when that has ended because one of them is gone, no answer and no candidate opens the next: they belong to the call before.
func (h *hub) pass(w *wsconn.Batch, s *session, typ signal.Type, name string, payload []byte) verdict {
	h.mu.RLock()
	if c := s.calls[name]; c != nil {
		defer h.mu.RUnlock()
		c.peer.send(w, payload)
		return delivered
	}
	h.mu.RUnlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	target := h.users[name]
	switch {
	case s.name == "":
		return nameless
	case target == nil:
		s.noteEnded(name)
		return absent
	case (typ == signal.Answer || typ == signal.ICECandidate) && s.withoutCall(typ, name) == dropped:
		return noCall
	case !h.openLocked(s, target):
		return tooMany
	}
	target.send(w, payload)
	return delivered
}
