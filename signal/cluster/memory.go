package cluster

import (
	"context"
	"sync"
)

// Memory is a cluster of one node. It answers at once: Claim calls done, and Send calls Receive,
// before they return.
type Memory struct {
	*Sessions

	mu    sync.RWMutex // guards names
	names map[Name]holder

	watchMu sync.RWMutex // guards watches
	watches map[Name]map[SessionID]struct{}
}

var (
	_ Node    = (*Memory)(nil)
	_ Watcher = (*Memory)(nil)
)

// holder is the session that holds a name.
type holder struct {
	session  SessionID
	identity string
	resume   SecretHash
}

// NewMemory returns a node without sessions.
func NewMemory() *Memory {
	return &Memory{Sessions: NewSessions(), names: make(map[Name]holder), watches: make(map[Name]map[SessionID]struct{})}
}

// Claim implements Directory.
func (m *Memory) Claim(c Claim, b Batch, done func(error)) {
	before, err := m.claim(c)
	if before.session != (SessionID{}) {
		m.Deliver(before.session, c.Lost(before.resume), b)
	}
	done(err)
}

// claim returns the holder that loses the name, if any.
func (m *Memory) claim(c Claim) (before holder, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h, held := m.names[c.Name]
	if c.Continues != (SessionID{}) && h.session != c.Session && (h.session != c.Continues || !c.Resumes(h.resume)) {
		return holder{}, ErrAbsent
	}
	if held && h.session != c.Session {
		if !c.Takes(h.identity, h.resume) {
			return holder{}, &TakenError{Holder: h.session}
		}
		before = h
	}
	m.names[c.Name] = holder{session: c.Session, identity: c.Identity, resume: c.Resume}
	return before, nil
}

// Lookup implements Directory.
func (m *Memory) Lookup(_ context.Context, n Name) (SessionID, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	h, held := m.names[n]
	if !held {
		return SessionID{}, ErrAbsent
	}
	return h.session, nil
}

// Release implements Directory.
func (m *Memory) Release(n Name, session SessionID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[n].session == session {
		delete(m.names, n)
	}
}

// Watch implements Watcher.
func (m *Memory) Watch(_ context.Context, n Name, session SessionID) error {
	m.watchMu.Lock()
	defer m.watchMu.Unlock()
	if m.watches[n] == nil {
		m.watches[n] = make(map[SessionID]struct{}, 1)
	}
	m.watches[n][session] = struct{}{}
	return nil
}

// Unwatch implements Watcher.
func (m *Memory) Unwatch(n Name, session SessionID) {
	m.watchMu.Lock()
	defer m.watchMu.Unlock()
	if delete(m.watches[n], session); len(m.watches[n]) == 0 {
		delete(m.watches, n)
	}
}

// Announce implements Watcher.
func (m *Memory) Announce(n Name, holder SessionID, b Batch) {
	for watcher := range m.takeWatches(n) {
		m.Deliver(watcher, Message{Kind: Present, From: holder, FromName: n.Text}, b)
	}
}

// takeWatches returns the sessions that watch a name, and ends their watches.
func (m *Memory) takeWatches(n Name) map[SessionID]struct{} {
	m.watchMu.RLock()
	watched := len(m.watches[n]) > 0
	m.watchMu.RUnlock()
	if !watched {
		return nil
	}
	m.watchMu.Lock()
	defer m.watchMu.Unlock()
	watchers := m.watches[n]
	delete(m.watches, n)
	return watchers
}

// Send implements Router.
func (m *Memory) Send(to SessionID, msg Message, b Batch) {
	if !m.Deliver(to, msg, b) && msg.Kind != Gone {
		m.Deliver(msg.From, Message{Kind: Gone, From: to, PeerCall: msg.Call}, b)
	}
}
