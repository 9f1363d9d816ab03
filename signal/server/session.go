package server

import (
	"bytes"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"parley/signal"
	"parley/signal/cluster"
	"parley/signal/internal/wsconn"
	"parley/signal/server/internal/retention"
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
	reason := cluster.Draining
	if h.continues() {
		reason = cluster.Moving
	}
	for _, s := range sessions {
		s.resumable.stop()
		s.end(w, reason)
	}
}

// counts returns the number of names and calls.
func (h *hub) counts() (names, calls int) { return int(h.names.Load()), int(h.calls.Load()) }

// session is one login of a client: it holds a name until the connection ends, or until the client
// does not resume in time. It has one end of each of its calls; the other end belongs to the
// session of the peer, maybe at another node. The two learn of each other only by messages.
type session struct {
	hub       *hub
	id        cluster.SessionID
	name      string
	conn      *conn        // nil if resumable is set
	resumable *resumeState // nil unless the client can resume
	// asked is the name that the client has asked for, which may not be the one it got. The reader
	// owns it.
	asked string
	// served is the number of the last message that another node has served. The reader owns it.
	served uint64
	// iceServers are those that the Authorizer granted at the login. The reader owns them.
	iceServers []signal.ICEServer
	address    netip.Addr // of the client when it signed in

	// Guarded by expiries.mu.
	expiry  *expiry // nil: the session does not expire
	expired bool

	mu    sync.Mutex // guards what follows; released while a message is sent
	state sessionState
	// wantErrors makes a session of the relay dialect report errors.
	wantErrors bool
	calls      map[string]*call // by the name of the peer; nil if there are none
	lastCall   uint64           // the number of the latest call
	lastNumber uint64           // the number of the client's latest message
	sentBefore uint64           // the number of the last one before this node continued the session
	moved      bool             // another session continues this one
	moving     bool             // another session may do so, and this one has ended
	// recentlyEnded are the peers of the latest calls that ended, or were not opened, without this
	// client's doing. What it sends to them it has sent before it could know, and is dropped
	// without an error.
	recentlyEnded []string
	outbox        cluster.Outbox
	probe         *probe // nil unless another session claims the name
	// watches are the names that the client watches; nil if there are none.
	watches map[string]*watch
	// probeResult gets whether the holder of the claimed name is connected. probeResult is set
	// while the session claims a name.
	probeResult chan bool
}

type sessionState uint8

const (
	sessionClaiming sessionState = iota // the session does not have its name yet
	sessionOpen
	sessionEnded
)

// call is this session's end of a call with another session.
type call struct {
	peer          cluster.SessionID
	number        uint64 // of the call at this session, from 1
	peerNumber    uint64 // of the call at the peer; 0 if nothing has come from there
	caller        bool   // this session has opened the call
	offerReceived bool   // the peer has made an offer
	share         share  // of the messages of the peer

	// What follows is for sessions that continue at another node.
	received     uint64            // number of the last message of the peer
	sent         retention.Buffer  // messages of this client, unless peerEnds
	peerEnds     bool              // no session will continue that of the peer
	away         chan struct{}     // closed at the end of the wait for the peer; nil while there is none
	leaving      bool              // the client has closed the call while the peer was away
	continued    bool              // the call began at another node
	unserved     bool              // what opens the call may not have been served
	first        uint64            // number of the first message of this client, if continued
	peerReceived uint64            // number of the last message that the peer had when it rejoined
	continues    cluster.SessionID // the session that the peer knows; zero: this one
	askedPeer    cluster.SessionID // the latest session that was asked for the call
}

// probe is the question whether the client of a session is connected.
type probe struct {
	from  []cluster.SessionID // who asks
	timer *time.Timer         // ends the session
}

const (
	// maxRecentlyEnded bounds session.recentlyEnded.
	maxRecentlyEnded = 32
	// probeTimeout is how long a client may take to answer a ping, or to resume, once another
	// session claims its name.
	probeTimeout = time.Second
	// queuePerCall is how much more may wait for a client with every further call that it was in at
	// once: the description and candidates of a browser. Otherwise many callers at once would look
	// like a client that reads too slowly.
	queuePerCall = 12 << 10
	// maxProbes bounds the sessions that wait for the same probe. To the others the client counts
	// as connected.
	maxProbes = 64
)

// send queues a frame for the client.
func (s *session) send(w *wsconn.Batch, frame []byte) {
	if s.resumable != nil {
		s.resumable.send(w, frame)
		return
	}
	s.conn.Send(w, frame)
}

// growQueue sets the number of bytes that may wait for the client in addition to Options.MaxQueue,
// unless it is larger already.
func (s *session) growQueue(extra int) {
	if s.resumable != nil {
		s.resumable.growQueue(extra)
		return
	}
	s.conn.GrowQueue(extra)
}

// backlog returns what waits for the client.
func (s *session) backlog() wsconn.Backlog {
	if s.resumable != nil {
		return s.resumable.backlog()
	}
	return s.conn.Backlog()
}

// connection returns the connection of the client, nil while it is away.
func (s *session) connection() *conn {
	if s.resumable == nil {
		return s.conn
	}
	return s.resumable.connection()
}

// callCount returns the number of open calls.
func (s *session) callCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.calls)
}

// heldName returns the name of the session, "" if it does not hold it any more.
func (s *session) heldName() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != sessionOpen {
		return ""
	}
	return s.name
}

// start makes a session with a claimed name take part in calls, after it has called reply. It does
// nothing but that if the name has been lost already.
func (s *session) start(reply func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.probeResult = nil
	if s.state == sessionClaiming {
		s.state = sessionOpen
		s.hub.names.Add(1)
	} else {
		s.hub.server.sessions.Remove(s.address)
	}
	reply()
	s.detachIfDone()
}

// abandon ends a session that did not get its name.
func (s *session) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = sessionEnded
	s.hub.server.sessions.Remove(s.address)
	s.detachIfDone()
}

// resumed notes that the client is there again.
func (s *session) resumed(w *wsconn.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wantErrors = true
	s.answerProbe(w, cluster.Alive)
}

// post sends a message to another session, after all that were posted before. mu is held, but not
// while the message is sent.
func (s *session) post(w *wsconn.Batch, to cluster.SessionID, m cluster.Message) {
	m.From, m.FromName, m.Ends = s.id, s.name, s.resumable == nil
	s.outbox.Send(&s.mu, s.hub.server.node, to, &m, w)
	s.detachIfDone()
}

// postAll sends messages that are not changed any more, one after the other, after all that were
// posted before. mu is held, but not while a message is sent.
func (s *session) postAll(w *wsconn.Batch, messages []cluster.Outgoing) {
	if len(messages) == 0 {
		return
	}
	first, rest := messages[0], messages[1:]
	if s.outbox.Sending() {
		first, rest = messages[len(messages)-1], messages[:len(messages)-1]
	}
	for _, m := range rest {
		m.From, m.FromName, m.Ends = s.id, s.name, s.resumable == nil
		s.outbox.Queue(m)
	}
	s.post(w, first.To, first.Message)
}

// detachIfDone leaves the router when the session has ended and its last message is sent, unless
// another session may continue it: until the end of the node its peers get no Gone of the router.
func (s *session) detachIfDone() {
	if s.state == sessionEnded && !s.outbox.Sending() && !s.moved && !s.moving {
		s.hub.server.node.Detach(s.id)
	}
}

// openCall adds a call.
func (s *session) openCall(name string, peer cluster.SessionID, caller bool) *call {
	if s.calls == nil {
		s.calls = make(map[string]*call, 1)
	}
	s.lastCall++
	c := &call{peer: peer, number: s.lastCall, caller: caller, continues: s.id}
	s.calls[name] = c
	s.growQueue((len(s.calls) - 1) * queuePerCall)
	if caller {
		s.hub.calls.Add(1)
	}
	s.clearEnded(name)
	return c
}

// closeCall removes a call.
func (s *session) closeCall(name string, c *call) {
	c.found()
	if delete(s.calls, name); len(s.calls) == 0 {
		s.calls = nil
	}
	if c.caller {
		s.hub.calls.Add(-1)
	}
}

// callOf returns the call that a message from another session belongs to, nil if there is none (any
// more), and notes the peer's number of it.
func (s *session) callOf(m *cluster.Message) *call {
	c := s.calls[m.FromName]
	if c == nil || c.peer != m.From {
		return nil
	}
	crossed := c.peerNumber == 0 && s.opens(m) // both have opened it
	switch {
	case crossed && c.caller && compareIDs(m.From, s.id) < 0:
		c.caller = false // one of the two counts
		s.hub.calls.Add(-1)
	case crossed, m.PeerCall == c.number, m.Call != 0 && m.Call == c.peerNumber:
	default:
		return nil
	}
	if m.Call != 0 {
		c.peerNumber = m.Call
	}
	c.setPeerEnds(m.Ends)
	return c
}

// setPeerEnds notes whether no session will continue that of the peer: then nothing is kept for it.
func (c *call) setPeerEnds(ends bool) {
	if ends && !c.peerEnds {
		c.sent = retention.Buffer{}
	}
	c.peerEnds = ends
}

// opens reports whether a message from another session opens a call: any in the relay dialect,
// whose sender has decided that.
func (s *session) opens(m *cluster.Message) bool {
	switch m.Kind {
	case cluster.Offer:
		return m.PeerCall == 0
	case cluster.Answer, cluster.Candidate, cluster.Data:
		return m.PeerCall == 0 && s.hub.dialect == signal.DialectRelay
	}
	return false
}

func compareIDs(a, b cluster.SessionID) int {
	if n := bytes.Compare(a.Node[:], b.Node[:]); n != 0 {
		return n
	}
	switch {
	case a.Number < b.Number:
		return -1
	case a.Number > b.Number:
		return 1
	}
	return 0
}

// noteEnded remembers that the call with name ended. The oldest makes room.
func (s *session) noteEnded(name string) {
	if slices.Contains(s.recentlyEnded, name) {
		return
	}
	if len(s.recentlyEnded) == maxRecentlyEnded {
		s.recentlyEnded = slices.Delete(s.recentlyEnded, 0, 1)
	}
	s.recentlyEnded = append(s.recentlyEnded, name)
}

// clearEnded forgets that the call with name ended.
func (s *session) clearEnded(name string) {
	i := slices.Index(s.recentlyEnded, name)
	if i < 0 {
		return
	}
	if s.recentlyEnded = slices.Delete(s.recentlyEnded, i, i+1); len(s.recentlyEnded) == 0 {
		s.recentlyEnded = nil
	}
}

// end ends the session: it frees the name and closes the calls. It does nothing if the session has
// ended.
func (s *session) end(w *wsconn.Batch, reason cluster.Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked(w, reason)
}

func (s *session) endLocked(w *wsconn.Batch, reason cluster.Reason) {
	if s.state != sessionOpen {
		return
	}
	s.state, s.moving = sessionEnded, reason == cluster.Moving
	s.hub.names.Add(-1)
	s.hub.server.sessions.Remove(s.address)
	s.hub.server.expiries.remove(s)
	s.endWatches()
	calls := s.calls
	s.calls, s.recentlyEnded = nil, nil
	for _, c := range calls {
		c.found()
		if c.caller {
			s.hub.calls.Add(-1)
		}
		if c.peer != s.id && c.peer != (cluster.SessionID{}) && reason != cluster.Continued {
			s.post(w, c.peer, cluster.Message{Kind: cluster.Leave, Reason: reason, Call: c.number, PeerCall: c.peerNumber})
		}
	}
	if reason != cluster.Moving { // the name is proof of who the client is
		s.hub.server.node.Release(s.hub.clusterName(s.name), s.id)
	}
	if s.resumable != nil {
		s.hub.removeResumable(s)
	}
	s.answerProbe(w, cluster.Gone) // after the release: who asks claims the name again
	s.detachIfDone()
}
