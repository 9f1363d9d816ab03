package server

import (
	"sync"

	"parley/signal/internal/wsconn"

	"parley/signal"
	"parley/signal/internal/wire"
)

// hub knows who is signed in, in one name space, and who is in a call with whom.
//
// Frames are queued under its lock, which is an append to memory and never a write: so what one connection sees of another keeps
// the order in which it happened (the leave of a user who is gone cannot arrive behind the offer of the next user of that name).
type hub struct {
	dialect  signal.Dialect
	maxCalls int
	sessions *connLimiter // counts every name
	expiries *expiries

	mu    sync.RWMutex // guards what follows, and name, calls and ended of every session
	users map[string]*session
	lines map[lineID]*session // those who may come back
	open  int                 // calls
}

func newHub(dialect signal.Dialect, maxCalls int, sessions *connLimiter, e *expiries) *hub {
	return &hub{dialect: dialect, maxCalls: maxCalls, sessions: sessions, expiries: e, users: make(map[string]*session), lines: make(map[lineID]*session)}
}

// signIn gives a free name to s, and reports whether it did. The earlier name of s, if any, is given up first. Then done is called,
// before anybody can send to the name.
func (h *hub) signIn(w *wsconn.Batch, s *session, name string, done func()) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, held := h.users[name]; held {
		return false
	}
	h.assignLocked(w, s, name)
	done()
	return true
}

// takeOver gives name to s, whoever held it.
func (h *hub) takeOver(w *wsconn.Batch, s *session, name string, done func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if old := h.users[name]; old != nil && old != s {
		h.forgetLocked(w, old, false)
		if old.line != nil {
			old.line.abandon()
		}
	}
	h.assignLocked(w, s, name)
	done()
}

func (h *hub) assignLocked(w *wsconn.Batch, s *session, name string) {
	h.forgetLocked(w, s, false)
	h.users[name], s.name = s, name
	if s.line != nil {
		h.lines[s.line.id] = s
	}
}

// forget frees the name of s and tells everybody in a call with s, unless quietly.
func (h *hub) forget(w *wsconn.Batch, s *session, quietly bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forgetLocked(w, s, quietly)
}

// forgetLost forgets a client that did not come back in time.
func (h *hub) forgetLost(w *wsconn.Batch, s *session, quietly bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.lost = true
	h.forgetLocked(w, s, quietly)
}

// lineOf returns the session that may be come back to with this id.
func (h *hub) lineOf(id lineID) *session {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.lines[id]
}

func (h *hub) nameOf(s *session) string {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return s.name
}

// callsOf returns how many calls s is in.
func (h *hub) callsOf(s *session) int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return len(s.calls)
}

// stopLines ends every wait for a client.
func (h *hub) stopLines() {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, s := range h.lines {
		s.line.stop()
	}
}

func (h *hub) forgetLocked(w *wsconn.Batch, s *session, quietly bool) {
	if s.name == "" {
		return
	}
	var leave []byte
	for _, c := range s.calls {
		h.open--
		if c.peer == s {
			continue
		}
		delete(c.peer.calls, s.name)
		c.peer.noteEnded(s.name)
		c.peer.trim()
		if h.dialect == signal.DialectRelay || quietly {
			continue
		}
		if leave == nil {
			leave = wire.AppendDelivery(nil, signal.Leave, nil, s.name)
			if s.lost {
				leave = append(leave[:len(leave)-1], `,"lost":true}`...)
			}
		}
		c.peer.send(w, leave)
	}
	if s.line != nil {
		delete(h.lines, s.line.id)
	}
	delete(h.users, s.name)
	h.sessions.remove(s.address)
	h.expiries.remove(s)
	s.name, s.calls, s.ended = "", nil, nil
}

// counts returns how many names and calls there are.
func (h *hub) counts() (names, calls int) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return len(h.users), h.open
}
