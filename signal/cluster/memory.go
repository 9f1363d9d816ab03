package cluster

import (
	"context"
	"crypto/rand"
	"sync"
	"sync/atomic"
)

// Memory is a cluster of one node. It answers at once: Claim calls done, and Send calls Receive,
// before they return.
type Memory struct {
	id     NodeID
	last   atomic.Uint64 // session number
	shards [16]shard     // by session number

	mu    sync.RWMutex // guards names
	names map[Name]holder
}

var _ Node = (*Memory)(nil)

// shard holds some of the sessions, so that senders seldom wait for each other.
type shard struct {
	mu       sync.RWMutex // guards sessions
	sessions map[uint64]Receiver
}

// holder is the session that holds a name.
type holder struct {
	session  SessionID
	identity string
}

// NewMemory returns a node without sessions.
func NewMemory() *Memory {
	m := &Memory{names: make(map[Name]holder)}
	_, _ = rand.Read(m.id[:]) // never fails (crypto/rand)
	for i := range m.shards {
		m.shards[i].sessions = make(map[uint64]Receiver)
	}
	return m
}

// ID returns the ID of the node.
func (m *Memory) ID() NodeID { return m.id }

// Claim implements Directory.
func (m *Memory) Claim(c Claim, b Batch, done func(error)) {
	before, err := m.claim(c)
	if before != (SessionID{}) {
		m.Send(before, Message{Kind: Lost, Reason: Replaced, From: c.Session, FromName: c.Name.Text}, b)
	}
	done(err)
}

// claim returns the session that loses the name, if any.
func (m *Memory) claim(c Claim) (before SessionID, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h, held := m.names[c.Name]
	if held && h.session != c.Session {
		if !c.Replace && (c.Identity == "" || c.Identity != h.identity) {
			return SessionID{}, &TakenError{Holder: h.session}
		}
		before = h.session
	}
	m.names[c.Name] = holder{session: c.Session, identity: c.Identity}
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

// Attach implements Router.
func (m *Memory) Attach(r Receiver) SessionID {
	id := SessionID{Node: m.id, Number: m.last.Add(1)}
	s := m.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions[id.Number] = r
	return id
}

// Detach implements Router.
func (m *Memory) Detach(id SessionID) {
	if id.Node != m.id {
		return
	}
	s := m.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, id.Number)
}

// Send implements Router.
func (m *Memory) Send(to SessionID, msg Message, b Batch) {
	if r := m.receiver(to); r != nil {
		r.Receive(msg, b)
		return
	}
	if msg.Kind == Gone {
		return
	}
	if r := m.receiver(msg.From); r != nil {
		r.Receive(Message{Kind: Gone, From: to, PeerCall: msg.Call}, b)
	}
}

// receiver returns the receiver of a session, or nil if the session does not exist.
func (m *Memory) receiver(id SessionID) Receiver {
	if id.Node != m.id {
		return nil
	}
	s := m.shard(id)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.sessions[id.Number]
}

func (m *Memory) shard(id SessionID) *shard {
	return &m.shards[id.Number%uint64(len(m.shards))]
}
