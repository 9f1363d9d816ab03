package cluster

import (
	"crypto/rand"
	"sync"
	"sync/atomic"
)

// Sessions holds the sessions of one node and their receivers. Implementations of Node embed it.
type Sessions struct {
	id     NodeID
	last   atomic.Uint64 // session number
	shards [16]shard     // by session number
}

// shard holds some of the sessions, so that senders seldom wait for each other.
type shard struct {
	mu       sync.RWMutex // guards sessions
	sessions map[uint64]Receiver
}

// NewSessions returns the sessions of a new node, which has none yet.
func NewSessions() *Sessions {
	s := &Sessions{}
	_, _ = rand.Read(s.id[:]) // never fails (crypto/rand)
	for i := range s.shards {
		s.shards[i].sessions = make(map[uint64]Receiver)
	}
	return s
}

// ID returns the ID of the node.
func (s *Sessions) ID() NodeID { return s.id }

// Attach implements Router.
func (s *Sessions) Attach(r Receiver) SessionID {
	id := SessionID{Node: s.id, Number: s.last.Add(1)}
	h := s.shard(id)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sessions[id.Number] = r
	return id
}

// Detach implements Router.
func (s *Sessions) Detach(id SessionID) {
	if id.Node != s.id {
		return
	}
	h := s.shard(id)
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.sessions, id.Number)
}

// Deliver passes m to a session of this node. It reports false if there is no such session.
func (s *Sessions) Deliver(to SessionID, m Message, b Batch) bool {
	r := s.receiver(to)
	if r == nil {
		return false
	}
	r.Receive(m, b)
	return true
}

// Attached reports whether a session of this node exists.
func (s *Sessions) Attached(id SessionID) bool { return s.receiver(id) != nil }

// receiver returns the receiver of a session, or nil if the session does not exist.
func (s *Sessions) receiver(id SessionID) Receiver {
	if id.Node != s.id {
		return nil
	}
	h := s.shard(id)
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.sessions[id.Number]
}

func (s *Sessions) shard(id SessionID) *shard {
	return &s.shards[id.Number%uint64(len(s.shards))]
}
