package server

import (
	"sync"
	"sync/atomic"

	"parley/signal"
	"parley/signal/cluster"
	"parley/signal/internal/wsconn"
)

// hub holds the sessions of one dialect at this server.
type hub struct {
	server  *Server
	dialect signal.Dialect

	names atomic.Int64 // sessions that hold a name
	calls atomic.Int64 // calls that these sessions have opened

	mu        sync.Mutex          // guards resumable
	resumable map[uint64]*session // by the number in the resume token
}

func newHub(s *Server, dialect signal.Dialect) *hub {
	return &hub{server: s, dialect: dialect, resumable: make(map[uint64]*session)}
}

// clusterName returns the name as the cluster knows it. Each dialect has its own names.
func (h *hub) clusterName(name string) cluster.Name {
	return cluster.Name{Space: string(h.dialect), Text: name}
}

// addResumable makes s the session that its resume token stands for.
func (h *hub) addResumable(s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.resumable[s.resumable.id.Number] = s
}

// removeResumable undoes addResumable, unless another session has the token now.
func (h *hub) removeResumable(s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.resumable[s.resumable.id.Number] == s {
		delete(h.resumable, s.resumable.id.Number)
	}
}

// resumableSession returns the session that a resume token with this ID stands for, or nil.
func (h *hub) resumableSession(id cluster.SessionID) *session {
	if id.Node != h.server.node.ID() {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.resumable[id.Number]
}

// endResumable ends all sessions that wait, or could wait, for their client.
func (h *hub) endResumable(w *wsconn.Batch) {
	h.mu.Lock()
	sessions := make([]*session, 0, len(h.resumable))
	for _, s := range h.resumable {
		sessions = append(sessions, s)
	}
	h.mu.Unlock()
	for _, s := range sessions {
		s.resumable.stop()
		s.end(w, cluster.Draining)
	}
}

// counts returns the number of names and calls.
func (h *hub) counts() (names, calls int) { return int(h.names.Load()), int(h.calls.Load()) }
