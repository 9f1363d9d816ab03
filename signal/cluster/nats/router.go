package nats

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"slices"
	"strconv"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"parley/signal"
	"parley/signal/cluster"
)

const (
	// subjectShards is how many subjects, and goroutines, receive the messages to a node.
	subjectShards = 8
	linkShards    = 16
	// requestTimeout is how long an acknowledgment may take before a batch is sent again.
	requestTimeout = 500 * time.Millisecond
	// deliveryTimeout is how long a batch is sent again. Then both sessions receive Gone.
	deliveryTimeout = 5 * time.Second
	// maxBatch bounds the bytes of a batch, unless it has one message.
	maxBatch = 256 << 10
	// maxQueue bounds the bytes that wait for the session of another node.
	maxQueue = 4 << 20
	// maxPending bounds the bytes that wait in this process to be received.
	maxPending = 64 << 20
	// A link whose remote session has ended is kept for endedFor, because a late copy of a message
	// may still arrive. sweepInterval is the time between two looks.
	endedFor      = time.Minute
	sweepInterval = 30 * time.Second
	// forgottenFor is how long the epochs of a node that has no links any more are kept.
	forgottenFor = time.Hour
)

// links are the links of some of the sessions.
type links struct {
	mu sync.Mutex // guards of
	of map[cluster.SessionID]map[cluster.SessionID]*link
}

// link is the connection between a session of this node and one of another node.
type link struct {
	node          *Node
	local, remote cluster.SessionID

	mu sync.Mutex // guards what follows
	// Outgoing.
	epoch   uint64 // numbers begin anew with each
	sent    uint64 // number of the last message that was acknowledged
	queue   []queued
	size    int  // bytes of queue
	running bool // a goroutine sends
	gone    bool // the remote session does not exist any more
	closed  bool // the link counts no more
	reset   bool // the first message in queue reports that those before are lost
	talked  bool // the sessions have exchanged messages, so that its end concerns the local one
	endedAt time.Time

	// Incoming.
	receivedEpoch uint64
	received      uint64 // number of the last message that was delivered
	forgotten     uint64 // batches of this epoch, and of earlier ones, are late copies
}

// forgotten are the latest epochs of the links that this node has forgotten, by remote node. Epochs
// of a node only grow, so what arrives with an earlier one may have been delivered by a link that
// is forgotten.
type forgotten struct {
	mu sync.Mutex // guards of
	of map[cluster.NodeID]forgottenEpoch
}

type forgottenEpoch struct {
	epoch uint64
	at    time.Time
}

func (f *forgotten) add(id cluster.NodeID, epoch uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.of[id] = forgottenEpoch{max(epoch, f.of[id].epoch), time.Now()}
}

func (f *forgotten) epoch(id cluster.NodeID) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.of[id].epoch
}

// sweep removes the epochs that are older than forgottenFor.
func (f *forgotten) sweep() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, e := range f.of {
		if time.Since(e.at) > forgottenFor {
			delete(f.of, id)
		}
	}
}

// queued is an encoded message that waits for its acknowledgment.
type queued struct {
	frame    []byte
	kind     cluster.Kind
	deadline time.Time
}

func (n *Node) linksOf(local cluster.SessionID) *links {
	return &n.links[local.Number%linkShards]
}

// link returns the link of two sessions. It makes one if create is set, or else may return nil.
func (n *Node) link(local, remote cluster.SessionID, create bool) *link {
	s := n.linksOf(local)
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.of[local][remote]
	if l == nil && create {
		l = &link{node: n, local: local, remote: remote, epoch: n.epoch.Add(1), forgotten: n.forgotten.epoch(remote.Node)}
		if s.of[local] == nil {
			s.of[local] = make(map[cluster.SessionID]*link, 1)
		}
		s.of[local][remote] = l
	}
	return l
}

func (s *links) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, remotes := range s.of {
		for _, l := range remotes {
			if l.busy() {
				return true
			}
		}
	}
	return false
}

func (l *link) busy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.running && !l.reset
}

// removeLink forgets a link, and closes it unless it is sending.
func (n *Node) removeLink(l *link) {
	s := n.linksOf(l.local)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of[l.local][l.remote] != l {
		return
	}
	l.mu.Lock()
	l.closed = l.closed || !l.running
	epoch := max(l.receivedEpoch, l.forgotten)
	l.mu.Unlock()
	if epoch > 0 && n.Attached(l.local) { // nothing arrives for a session that has ended
		n.forgotten.add(l.remote.Node, epoch)
	}
	if delete(s.of[l.local], l.remote); len(s.of[l.local]) == 0 {
		delete(s.of, l.local)
	}
}

// Send implements cluster.Router.
func (n *Node) Send(to cluster.SessionID, m cluster.Message, b cluster.Batch) {
	if to.Node == n.ID() {
		if !n.Deliver(to, m, b) && m.Kind != cluster.Gone {
			n.Deliver(m.From, cluster.Message{Kind: cluster.Gone, From: to, PeerCall: m.Call}, b)
		}
		return
	}
	n.metrics.sent.Inc()
	switch n.link(m.From, to, true).enqueue(m.Kind, appendMessage(nil, &m)) {
	case notQueued:
		if m.Kind != cluster.Gone {
			n.Deliver(m.From, cluster.Message{Kind: cluster.Gone, Reason: cluster.Disconnected, From: to, PeerCall: m.Call}, b)
		}
	case queueLost: // with messages of other calls
		n.Deliver(m.From, cluster.Message{Kind: cluster.Gone, Reason: cluster.Disconnected, From: to}, b)
	}
}

// sendLost notifies a session of another node that it has lost its name.
func (n *Node) sendLost(to cluster.SessionID, name cluster.Name, revision uint64, m cluster.Message) {
	n.link(m.From, to, true).enqueue(kindLost, appendLost(nil, name, revision, &m))
}

// Detach implements cluster.Router.
func (n *Node) Detach(id cluster.SessionID) {
	n.Sessions.Detach(id)
	s := n.linksOf(id)
	s.mu.Lock()
	var ended []*link
	for _, l := range s.of[id] {
		ended = append(ended, l)
	}
	s.mu.Unlock()
	for _, l := range ended {
		if l.enqueue(kindEnd, appendEnd(nil)) == notQueued {
			n.removeLink(l)
		}
	}
}

// enqueued is what became of a message that was to be queued.
type enqueued int

const (
	inQueue   enqueued = iota
	notQueued          // the remote session is gone or cannot be reached
	queueLost          // the queue was full, and its messages are lost, with this one
)

// enqueue queues a message.
func (l *link) enqueue(kind cluster.Kind, frame []byte) enqueued {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone || l.closed || l.node.ctx.Err() != nil {
		return notQueued
	}
	q := queued{frame, kind, time.Now().Add(deliveryTimeout)}
	if !q.control() && l.size+len(frame) > maxQueue {
		l.resetLocked()
		return queueLost
	}
	l.talked = l.talked || q.counts()
	l.pushLocked(q)
	return inQueue
}

// control reports whether the message is one between nodes, which no session has sent. There are
// few, and they are small.
func (q *queued) control() bool { return q.kind == kindEnd || q.kind == kindLost }

// counts reports whether the sender is to be informed when the message is lost.
func (q *queued) counts() bool { return !q.control() && q.kind != cluster.Gone }

// losesLocked reports whether the sender is to be informed when the queue is lost.
func (l *link) losesLocked() bool {
	return slices.ContainsFunc(l.queue, func(q queued) bool { return q.counts() })
}

func (l *link) pushLocked(q queued) {
	l.queue = append(l.queue, q)
	l.size += len(q.frame)
	if !l.running {
		l.running = l.node.spawn(l.run)
	}
}

// resetLocked drops the messages of the sender that are queued, and reports to the remote session
// that they are lost. The caller reports it to the local session.
func (l *link) resetLocked() {
	l.node.metrics.resets.Inc()
	before := l.queue
	l.epoch, l.sent = l.node.epoch.Add(1), 0
	l.queue, l.size, l.reset = nil, 0, true
	m := cluster.Message{Kind: cluster.Gone, Reason: cluster.Disconnected, From: l.local}
	deadline := time.Now().Add(deliveryTimeout)
	l.pushLocked(queued{appendMessage(nil, &m), cluster.Gone, deadline})
	for _, q := range before {
		if q.control() {
			l.pushLocked(queued{q.frame, q.kind, deadline})
		}
	}
}

// run sends what is queued, one batch at a time.
func (l *link) run() {
	for l.sendBatch() {
	}
}

// sendBatch sends the next batch until it is acknowledged or given up. It reports false if the
// goroutine is to end.
func (l *link) sendBatch() bool {
	l.mu.Lock()
	if len(l.queue) == 0 || l.closed || l.node.ctx.Err() != nil {
		l.running = false
		l.mu.Unlock()
		return false
	}
	count, size := 1, len(l.queue[0].frame)
	for count < len(l.queue) && count < maxMessages && size+len(l.queue[count].frame) <= maxBatch {
		size += len(l.queue[count].frame)
		count++
	}
	batch := l.queue[:count:count]
	epoch, first, deadline := l.epoch, l.sent+1, batch[0].deadline
	if l.reset {
		deadline = time.Now().Add(deliveryTimeout)
	}
	l.mu.Unlock()

	data := appendHeader(make([]byte, 0, headerSize+size), header{from: l.local, to: l.remote, epoch: epoch, first: first})
	for _, q := range batch {
		data = append(data, q.frame...)
	}
	result := l.node.request(l.remote, shardOf(l.local, l.remote), data, deadline)
	return l.finish(result, epoch, batch)
}

// finish notes what became of a batch.
func (l *link) finish(result reply, epoch uint64, batch []queued) (more bool) {
	l.mu.Lock()
	if l.epoch != epoch || l.closed { // the queue has overflowed, or the node has failed, meanwhile
		l.mu.Unlock()
		return true
	}
	notify, ended := false, false
	reason := cluster.Reason(0)
	switch result {
	case replyOK:
		l.sent += uint64(len(batch))
		for _, q := range batch {
			l.size -= len(q.frame)
			ended = ended || q.kind == kindEnd
		}
		l.queue, l.reset = l.queue[len(batch):], false
		if len(l.queue) == 0 {
			l.queue = nil
		}
	case replyGone:
		notify = l.losesLocked()
		ended = slices.ContainsFunc(l.queue, func(q queued) bool { return q.kind == kindEnd })
		l.queue, l.size, l.gone, l.reset, l.endedAt = nil, 0, true, false, time.Now()
	case replyDead: // of a link that nodeLost did not find any more
		notify, reason, ended = l.losesLocked(), cluster.Disconnected, true
		l.queue, l.size = nil, 0
	default: // a gap, or no answer in time
		notify, reason = l.losesLocked(), cluster.Disconnected
		l.resetLocked()
	}
	if ended {
		l.closed = true
	}
	l.mu.Unlock()
	if notify {
		l.node.Deliver(l.local, cluster.Message{Kind: cluster.Gone, Reason: reason, From: l.remote}, nil)
	}
	if ended {
		l.node.removeLink(l)
	}
	return true
}

// reply is what became of a batch.
type reply byte

const (
	replyOK   reply = iota + 1
	replyGone       // the session does not exist
	replyGap        // the batch does not follow the one before
	replyNone       // no answer in time
	replyDead       // the node has no lease any more; the link is dropped
)

// request sends a batch to the node of a session until it is answered, at most until the deadline.
// A node that has no lease has no sessions.
func (n *Node) request(to cluster.SessionID, shard uint64, data []byte, deadline time.Time) reply {
	subject := n.subject(to.Node, strconv.FormatUint(shard, 10))
	for attempt := 0; ; attempt++ {
		if attempt > 0 {
			n.metrics.retries.Inc()
		}
		expired := time.Now().After(deadline)
		if n.ctx.Err() != nil {
			return replyNone
		}
		var err error
		if !expired {
			var answer *natsgo.Msg
			ctx, cancel := context.WithTimeout(n.ctx, requestTimeout)
			answer, err = n.conn.RequestWithContext(ctx, subject, data)
			cancel()
			if err == nil && len(answer.Data) == 1 {
				return reply(answer.Data[0])
			}
		}
		if errors.Is(err, natsgo.ErrNoResponders) || expired {
			if live, err := n.isLive(n.ctx, to.Node); err == nil && !live {
				n.nodeLost(to.Node)
				return replyDead
			}
		}
		if expired {
			return replyNone
		}
		pause(n.ctx, retryPause)
	}
}

// shardOf returns the part of the subject that the messages of one session to another have.
func shardOf(from, to cluster.SessionID) uint64 {
	h := fnv.New64a()
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], from.Number)
	_, _ = h.Write(b[:])
	binary.BigEndian.PutUint64(b[:], to.Number)
	_, _ = h.Write(b[:])
	return h.Sum64() % subjectShards
}

func (n *Node) subject(node cluster.NodeID, last string) string {
	return n.opts.Prefix + ".v" + strconv.Itoa(schemaVersion) + ".n." + node.String() + "." + last
}

func (n *Node) leftSubject() string {
	return n.opts.Prefix + ".v" + strconv.Itoa(schemaVersion) + ".left"
}

// subscribe receives the messages to this node.
func (n *Node) subscribe() error {
	for shard := range subjectShards {
		sub, err := n.conn.Subscribe(n.subject(n.ID(), strconv.Itoa(shard)), n.handleBatch)
		if err != nil {
			return err
		}
		if err := sub.SetPendingLimits(-1, maxPending); err != nil {
			return err
		}
	}
	_, err := n.conn.Subscribe(n.leftSubject(), func(*natsgo.Msg) { n.wakeUp() })
	return err
}

// handleBatch delivers the messages of a batch that were not delivered before, and answers.
func (n *Node) handleBatch(m *natsgo.Msg) {
	if m.Reply == "" {
		return
	}
	if result := n.receive(m.Data); result != 0 {
		_ = m.Respond([]byte{byte(result)})
	}
}

// receive delivers the messages of a batch. It returns 0 for one that is not to be answered.
func (n *Node) receive(data []byte) reply {
	h, frames, err := parseBatch(data)
	if err != nil || h.to.Node != n.ID() || h.from.Node == n.ID() {
		n.metrics.malformed.Inc()
		return 0
	}
	if !n.Attached(h.to) {
		n.orphans(h, frames)
		return replyGone
	}
	l := n.link(h.to, h.from, true)
	l.mu.Lock()
	switch {
	case l.closed: // forgotten at this moment: the next copy finds another link
		l.mu.Unlock()
		return 0
	case h.epoch <= l.forgotten || h.epoch < l.receivedEpoch: // late, and given up by its sender
		l.mu.Unlock()
		return replyGap
	case h.epoch > l.receivedEpoch && h.first != 1:
		l.mu.Unlock()
		return replyGap
	case h.epoch > l.receivedEpoch:
		l.receivedEpoch, l.received = h.epoch, 0
	case h.first > l.received+1:
		l.mu.Unlock()
		return replyGap
	}
	l.mu.Unlock()
	// The batches of one session to another arrive in one goroutine.
	for i, f := range frames {
		number := h.first + uint64(i)
		if number <= l.received {
			n.metrics.duplicates.Inc()
			continue
		}
		switch f.message.Kind {
		case kindEnd:
			l.mu.Lock()
			l.gone, l.endedAt = true, time.Now()
			l.mu.Unlock()
		case kindLost:
			n.handleLost(h.to, f.name, f.revision, f.message.lost(h.from))
		default:
			m := f.message.Message
			m.From = h.from
			n.metrics.received.Inc()
			if !n.Deliver(h.to, m, nil) {
				return replyGone
			}
		}
		l.mu.Lock()
		l.received = number
		l.talked = l.talked || f.message.Kind != kindLost && f.message.Kind != kindEnd
		l.mu.Unlock()
	}
	return replyOK
}

// orphans removes the names that sessions of this node have left behind, if one of them is asked
// for.
func (n *Node) orphans(h header, frames []frame) {
	for _, f := range frames {
		if f.message.Kind == cluster.Probe {
			for _, space := range [...]signal.Dialect{signal.DialectCall, signal.DialectRelay} {
				name := cluster.Name{Space: string(space), Text: f.message.FromName}
				n.enqueue(name, func() { _, _ = n.removeRecord(name, h.to) })
			}
		}
	}
}

// dropLinks ends the links with the chosen remote sessions: the local sessions receive Gone.
func (n *Node) dropLinks(chosen func(remote cluster.SessionID) bool) {
	for i := range n.links {
		s := &n.links[i]
		s.mu.Lock()
		var dropped []*link
		for _, remotes := range s.of {
			for remote, l := range remotes {
				if chosen(remote) {
					dropped = append(dropped, l)
				}
			}
		}
		s.mu.Unlock()
		for _, l := range dropped {
			l.mu.Lock()
			notify := !l.closed && (l.talked && !l.gone || l.losesLocked())
			l.closed, l.queue, l.size = true, nil, 0
			l.mu.Unlock()
			n.removeLink(l)
			if notify {
				n.Deliver(l.local, cluster.Message{Kind: cluster.Gone, Reason: cluster.Disconnected, From: l.remote}, nil)
			}
		}
	}
}

// resetLinks ends all links, because the other nodes have ended theirs.
func (n *Node) resetLinks() { n.dropLinks(func(cluster.SessionID) bool { return true }) }

// sweepLinks forgets the links whose remote session has ended long ago.
func (n *Node) sweepLinks() {
	for i := range n.links {
		s := &n.links[i]
		s.mu.Lock()
		var old []*link
		for _, remotes := range s.of {
			for _, l := range remotes {
				if l.ended(endedFor) || !l.busy() && !n.Attached(l.local) {
					old = append(old, l)
				}
			}
		}
		s.mu.Unlock()
		for _, l := range old {
			n.removeLink(l)
		}
	}
	n.forgotten.sweep()
}

func (l *link) ended(ago time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return (l.gone || l.closed) && !l.running && time.Since(l.endedAt) > ago
}
