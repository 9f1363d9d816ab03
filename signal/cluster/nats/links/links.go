// Package links passes messages between sessions of different nodes, by requests that may be lost,
// delayed or repeated.
//
// A link connects two sessions. The messages of one to the other are numbered and go in batches,
// each of which is sent again until it is acknowledged; the next one waits for that. So each
// message arrives once and in order. If messages have to be given up, both sessions receive Gone,
// and the numbers begin anew, in a new epoch.
//
// A link ends with its sessions and with their nodes. The receiver remembers the epoch of a link
// that has ended, so that a late copy of a batch is not delivered again.
package links

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"parley/signal/cluster"
)

// Network connects the nodes of a cluster. All methods may be called concurrently.
type Network interface {
	// ID returns the ID of this node.
	ID() cluster.NodeID
	// SendBatch sends a batch to the Links of another node, and returns what Receive returns there,
	// or an error if that has not come before ctx ends. The error is ErrNoReceiver if nobody
	// receives for that node now. The batches with the same to and lane are received one after the
	// other, in the order in which they arrive.
	SendBatch(ctx context.Context, to cluster.NodeID, lane uint64, batch []byte) (answer []byte, err error)
	// CheckNode reports whether a node has no lease any more. If so, it has called DropNode.
	CheckNode(ctx context.Context, id cluster.NodeID) (lost bool)
	// Deliver passes m to a session of this node. It reports false if there is no such session.
	Deliver(to cluster.SessionID, m cluster.Message, b cluster.Batch) bool
	// Attached reports whether a session of this node exists.
	Attached(id cluster.SessionID) bool
	// NameLost handles that a session of this node has lost a name, by a claim with this revision;
	// m is the message to the session.
	NameLost(session cluster.SessionID, name cluster.Name, revision uint64, m cluster.Message)
	// NameProbed handles a Probe of a session of this node that has ended, by one that claims a
	// name with this text.
	NameProbed(session cluster.SessionID, text string)
	// Spawn runs f in a goroutine that the node waits for. It reports false if the node is closed.
	Spawn(f func()) bool
}

// ErrNoReceiver is the error of a batch to a node for which nobody receives.
var ErrNoReceiver = errors.New("nobody receives for the node")

// Metrics count what the links of a node do. None is nil.
type Metrics struct {
	// Sent and Received count messages to and from sessions of other nodes, Retries the batches
	// that were sent again, Duplicates the messages that arrived again, Resets the times that
	// messages were given up, and Malformed the batches that could not be read.
	Sent, Received, Retries, Duplicates, Resets, Malformed prometheus.Counter
}

const (
	// Lanes is the number of lanes, in each of which a node receives one batch after the other.
	Lanes      = 8
	shardCount = 16
	// requestTimeout is how long an acknowledgment may take before a batch is sent again.
	requestTimeout = 500 * time.Millisecond
	// deliveryTimeout is how long a batch is sent again. Then both sessions receive Gone.
	deliveryTimeout = 5 * time.Second
	// retryPause is the pause after a request that was not answered.
	retryPause = 200 * time.Millisecond
	// MaxBatch bounds the bytes of the messages of a batch, unless it has one message.
	MaxBatch = 256 << 10
	// maxQueue bounds the bytes that wait for the session of another node.
	maxQueue = 4 << 20
	// endedFor is how long a link is kept whose remote session has ended, because a late copy of a
	// message may still arrive.
	endedFor = time.Minute
	// SweepInterval is the time between two calls of Sweep.
	SweepInterval = 30 * time.Second
	// forgottenFor is how long the epochs of a node that has no links any more are kept.
	forgottenFor = time.Hour
)

// Links are the links of the sessions of a node.
type Links struct {
	network   Network
	metrics   Metrics
	ctx       context.Context   // ends with the node
	shards    [shardCount]shard // by number of the session of this node
	forgotten forgotten
	epoch     atomic.Uint64 // of the latest link
}

// New returns the links of a node that has none, until ctx ends.
func New(ctx context.Context, network Network, metrics Metrics) *Links {
	all := &Links{network: network, metrics: metrics, ctx: ctx}
	all.forgotten.of = make(map[cluster.NodeID]forgottenEpoch)
	for i := range all.shards {
		all.shards[i].of = make(map[cluster.SessionID]map[cluster.SessionID]*link)
	}
	return all
}

// shard are the links of some of the sessions.
type shard struct {
	mu sync.Mutex // guards of
	of map[cluster.SessionID]map[cluster.SessionID]*link
}

// link is the connection between a session of this node and one of another node.
type link struct {
	all           *Links
	local, remote cluster.SessionID

	mu sync.Mutex // guards what follows
	// Outgoing.
	epoch   uint64 // numbers begin anew with each
	sent    uint64 // number of the last message that was acknowledged
	queue   []queued
	size    int  // bytes of queue
	running bool // a goroutine sends
	gone    bool // the remote session does not exist any more
	closed  bool // the link has ended, and Links has forgotten it or is about to
	reset   bool // the first message in queue reports that those before are lost
	used    bool // messages were exchanged: the local session receives Gone when the link is dropped
	endedAt time.Time

	// Incoming.
	receivedEpoch uint64
	received      uint64 // number of the last message that was delivered
	forgotten     uint64 // batches of this epoch and of earlier ones are late copies
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

func (all *Links) shardOf(local cluster.SessionID) *shard {
	return &all.shards[local.Number%shardCount]
}

// link returns the link of two sessions. It makes one if create is set, or else may return nil.
func (all *Links) link(local, remote cluster.SessionID, create bool) *link {
	s := all.shardOf(local)
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.of[local][remote]
	if l == nil && create {
		l = &link{all: all, local: local, remote: remote, epoch: all.epoch.Add(1), forgotten: all.forgotten.epoch(remote.Node)}
		if s.of[local] == nil {
			s.of[local] = make(map[cluster.SessionID]*link, 1)
		}
		s.of[local][remote] = l
	}
	return l
}

// Busy reports whether messages are not acknowledged yet.
func (all *Links) Busy() bool {
	for i := range all.shards {
		if all.shards[i].busy() {
			return true
		}
	}
	return false
}

func (s *shard) busy() bool {
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

// remove forgets a link, and closes it unless it is sending.
func (all *Links) remove(l *link) {
	s := all.shardOf(l.local)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of[l.local][l.remote] != l {
		return
	}
	l.mu.Lock()
	l.closed = l.closed || !l.running
	epoch := max(l.receivedEpoch, l.forgotten)
	l.mu.Unlock()
	if epoch > 0 && all.network.Attached(l.local) { // nothing arrives for a session that has ended
		all.forgotten.add(l.remote.Node, epoch)
	}
	if delete(s.of[l.local], l.remote); len(s.of[l.local]) == 0 {
		delete(s.of, l.local)
	}
}

// Send sends m to a session of another node; see cluster.Router.
func (all *Links) Send(to cluster.SessionID, m cluster.Message, b cluster.Batch) {
	all.metrics.Sent.Inc()
	switch all.link(m.From, to, true).enqueue(m.Kind, appendMessage(nil, &m)) {
	case notQueued:
		if m.Kind != cluster.Gone {
			all.network.Deliver(m.From, cluster.Message{Kind: cluster.Gone, Reason: cluster.Disconnected, From: to, PeerCall: m.Call}, b)
		}
	case queueLost: // with messages of other calls
		all.network.Deliver(m.From, cluster.Message{Kind: cluster.Gone, Reason: cluster.Disconnected, From: to}, b)
	}
}

// SendLost notifies a session of another node that it has lost a name, by a claim with this
// revision.
func (all *Links) SendLost(to cluster.SessionID, name cluster.Name, revision uint64, m cluster.Message) {
	all.link(m.From, to, true).enqueue(kindLost, appendLost(nil, name, revision, &m))
}

// End ends the links of a session of this node that has ended, after what it has sent.
func (all *Links) End(id cluster.SessionID) {
	s := all.shardOf(id)
	s.mu.Lock()
	var ended []*link
	for _, l := range s.of[id] {
		ended = append(ended, l)
	}
	s.mu.Unlock()
	for _, l := range ended {
		if l.enqueue(kindEnd, appendEnd(nil)) == notQueued {
			all.remove(l)
		}
	}
}

// enqueued is the result of enqueue.
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
	if l.gone || l.closed || l.all.ctx.Err() != nil {
		return notQueued
	}
	q := queued{frame, kind, time.Now().Add(deliveryTimeout)}
	if !q.control() && l.size+len(frame) > maxQueue {
		l.resetLocked()
		return queueLost
	}
	l.used = l.used || q.notifies()
	l.pushLocked(q)
	return inQueue
}

// control reports whether the message is one between nodes, which no session has sent. These are
// few and small.
func (q *queued) control() bool { return q.kind == kindEnd || q.kind == kindLost }

// notifies reports whether the sender receives Gone if the message is lost.
func (q *queued) notifies() bool { return !q.control() && q.kind != cluster.Gone }

// notifiesLocked reports whether the sender receives Gone if the queue is lost.
func (l *link) notifiesLocked() bool {
	return slices.ContainsFunc(l.queue, func(q queued) bool { return q.notifies() })
}

func (l *link) pushLocked(q queued) {
	l.queue = append(l.queue, q)
	l.size += len(q.frame)
	if !l.running {
		l.running = l.all.network.Spawn(l.run)
	}
}

// resetLocked drops the messages of the sender that are queued, and reports to the remote session
// that they are lost. The caller reports it to the local session.
func (l *link) resetLocked() {
	l.all.metrics.Resets.Inc()
	before := l.queue
	l.epoch, l.sent = l.all.epoch.Add(1), 0
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
	if len(l.queue) == 0 || l.closed || l.all.ctx.Err() != nil {
		l.running = false
		l.mu.Unlock()
		return false
	}
	count, size := 1, len(l.queue[0].frame)
	for count < len(l.queue) && count < maxMessages && size+len(l.queue[count].frame) <= MaxBatch {
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
	result := l.all.request(l.remote, data, lane(l.local, l.remote), deadline)
	return l.finish(result, epoch, batch)
}

// finish handles the result of a batch. more is for sendBatch.
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
		notify = l.notifiesLocked()
		ended = slices.ContainsFunc(l.queue, func(q queued) bool { return q.kind == kindEnd })
		l.queue, l.size, l.gone, l.reset, l.endedAt = nil, 0, true, false, time.Now()
	case replyDead: // of a link that DropNode did not find any more
		notify, reason, ended = l.notifiesLocked(), cluster.Disconnected, true
		l.queue, l.size = nil, 0
	default: // a gap, or no answer in time
		notify, reason = l.notifiesLocked(), cluster.Disconnected
		l.resetLocked()
	}
	if ended {
		l.closed = true
	}
	l.mu.Unlock()
	if notify {
		l.all.network.Deliver(l.local, cluster.Message{Kind: cluster.Gone, Reason: reason, From: l.remote}, nil)
	}
	if ended {
		l.all.remove(l)
	}
	return true
}

// reply is the result of a batch.
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
func (all *Links) request(to cluster.SessionID, data []byte, lane uint64, deadline time.Time) reply {
	for attempt := 0; ; attempt++ {
		if attempt > 0 {
			all.metrics.Retries.Inc()
		}
		expired := time.Now().After(deadline)
		if all.ctx.Err() != nil {
			return replyNone
		}
		var err error
		if !expired {
			var answer []byte
			ctx, cancel := context.WithTimeout(all.ctx, requestTimeout)
			answer, err = all.network.SendBatch(ctx, to.Node, lane, data)
			cancel()
			if err == nil && len(answer) == 1 {
				return reply(answer[0])
			}
		}
		if (errors.Is(err, ErrNoReceiver) || expired) && all.network.CheckNode(all.ctx, to.Node) {
			return replyDead
		}
		if expired {
			return replyNone
		}
		all.pause()
	}
}

// pause waits for retryPause, or until the node ends.
func (all *Links) pause() {
	timer := time.NewTimer(retryPause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-all.ctx.Done():
	}
}

// lane returns the lane of the messages from one session to another.
func lane(from, to cluster.SessionID) uint64 {
	h := fnv.New64a()
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], from.Number)
	_, _ = h.Write(b[:])
	binary.BigEndian.PutUint64(b[:], to.Number)
	_, _ = h.Write(b[:])
	return h.Sum64() % Lanes
}

// Receive delivers those messages of a batch that were not delivered before. It returns the answer
// to the sender, or nil if there is none.
func (all *Links) Receive(data []byte) (answer []byte) {
	if result := all.receive(data); result != 0 {
		return []byte{byte(result)}
	}
	return nil
}

// receive returns 0 for a batch that is not to be answered.
func (all *Links) receive(data []byte) reply {
	h, frames, err := parseBatch(data)
	if err != nil || h.to.Node != all.network.ID() || h.from.Node == all.network.ID() {
		all.metrics.Malformed.Inc()
		return 0
	}
	if !all.network.Attached(h.to) {
		for _, f := range frames {
			if f.message.Kind == cluster.Probe {
				all.network.NameProbed(h.to, f.message.FromName)
			}
		}
		return replyGone
	}
	l := all.link(h.to, h.from, true)
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
			all.metrics.Duplicates.Inc()
			continue
		}
		switch f.message.Kind {
		case kindEnd:
			l.mu.Lock()
			l.gone, l.endedAt = true, time.Now()
			l.mu.Unlock()
		case kindLost:
			all.network.NameLost(h.to, f.name, f.revision, f.message.lost(h.from))
		default:
			m := f.message.Message
			m.From = h.from
			all.metrics.Received.Inc()
			if !all.network.Deliver(h.to, m, nil) {
				return replyGone
			}
		}
		l.mu.Lock()
		l.received = number
		l.used = l.used || f.message.Kind != kindLost && f.message.Kind != kindEnd
		l.mu.Unlock()
	}
	return replyOK
}

// drop ends the links with the chosen remote sessions: the local sessions receive Gone.
func (all *Links) drop(chosen func(remote cluster.SessionID) bool) {
	for i := range all.shards {
		s := &all.shards[i]
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
			notify := !l.closed && (l.used && !l.gone || l.notifiesLocked())
			l.closed, l.queue, l.size = true, nil, 0
			l.mu.Unlock()
			all.remove(l)
			if notify {
				all.network.Deliver(l.local, cluster.Message{Kind: cluster.Gone, Reason: cluster.Disconnected, From: l.remote}, nil)
			}
		}
	}
}

// Reset ends all links, because the other nodes have ended theirs.
func (all *Links) Reset() { all.drop(func(cluster.SessionID) bool { return true }) }

// DropNode ends the links with the sessions of a node that has no lease any more.
func (all *Links) DropNode(id cluster.NodeID) {
	all.drop(func(remote cluster.SessionID) bool { return remote.Node == id })
}

// Sweep forgets the links whose remote session has ended long ago. The node calls it every
// SweepInterval.
func (all *Links) Sweep() {
	for i := range all.shards {
		s := &all.shards[i]
		s.mu.Lock()
		var old []*link
		for _, remotes := range s.of {
			for _, l := range remotes {
				if l.ended(endedFor) || !l.busy() && !all.network.Attached(l.local) {
					old = append(old, l)
				}
			}
		}
		s.mu.Unlock()
		for _, l := range old {
			all.remove(l)
		}
	}
	all.forgotten.sweep()
}

func (l *link) ended(ago time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return (l.gone || l.closed) && !l.running && time.Since(l.endedAt) > ago
}
