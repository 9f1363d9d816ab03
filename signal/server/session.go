package server

import (
	"net/netip"
	"slices"

	"parley/signal/internal/wsconn"

	"parley/signal"
)

// session is a user: who holds a name, in one dialect, from a login to the end of the connection, or of the wait for its return.
type session struct {
	hub   *hub
	conn  *conn  // the connection of the login; where line is set, see there
	line  *line  // nil unless the client asked to be able to come back
	asked string // the name of the login, which may not be the granted one; the reader owns it
	// iceServers are what the Authorizer granted at the login; the reader owns them.
	iceServers []signal.ICEServer
	address    netip.Addr // where the client came from when it signed in

	// Guarded by expiries.mu.
	expiry  *expiry // nil: the session does not expire
	expired bool

	// Guarded by hub.mu.
	name  string // "" once the session is over
	lost  bool   // it is over because the client did not come back
	calls map[string]*call
	// ended are the names of the latest calls that ended, or did not come about, without this user's doing. What it sends there is
	// on its way since before it heard of that, and is dropped without a complaint.
	ended []string
}

// call is one user's side of a call. It is between two sessions, not two names: whoever is next to claim the partner's name has
// no part in it.
type call struct {
	peer    *session
	offered bool // this side has made an offer
}

// maxEnded bounds session.ended.
const maxEnded = 32

// send queues a frame for the user.
func (s *session) send(w *wsconn.Batch, frame []byte) {
	if s.line != nil {
		s.line.send(w, frame)
		return
	}
	s.conn.Send(w, frame)
}

// noteEnded remembers that the call with name ended; oldest first out.
func (s *session) noteEnded(name string) {
	if slices.Contains(s.ended, name) {
		return
	}
	if len(s.ended) == maxEnded {
		s.ended = slices.Delete(s.ended, 0, 1)
	}
	s.ended = append(s.ended, name)
}

// forgive forgets that the call with name ended, and tells whether it was known.
func (s *session) forgive(name string) bool {
	i := slices.Index(s.ended, name)
	if i < 0 {
		return false
	}
	if s.ended = slices.Delete(s.ended, i, i+1); len(s.ended) == 0 {
		s.ended = nil
	}
	return true
}
