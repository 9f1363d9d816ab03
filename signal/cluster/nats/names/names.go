// Package names keeps the names that sessions of a node hold or claim, and runs the operations on
// each name one after the other.
package names

import (
	"context"
	"sync"
	"sync/atomic"

	"parley/signal/cluster"
)

// Names are the names that sessions of a node hold or claim.
type Names struct {
	ctx   context.Context     // ends with the node
	spawn func(f func()) bool // runs f in a goroutine that the node waits for
	slots chan struct{}       // one for each operation that is running

	mu      sync.Mutex // guards entries, and what is in them
	entries map[cluster.Name]*entry
	leases  atomic.Uint64 // how many leases of the node have ended
}

// entry is a name that a session of this node holds or claims. There is one for each user of the
// node, so it is small.
type entry struct {
	record   Record      // zero if no session of this node is the holder
	revision uint64      // of the key
	leases   uint64      // how many leases of this node had ended when the key was written or seen
	running  *operations // nil if there are none
}

// operations are those on a name that have not ended.
type operations struct {
	claiming cluster.SessionID // whose claim is running
	queue    []func()          // the first one is running
}

// New returns the names of a node that has none. At most maxOperations operations run at the same
// time, in goroutines of spawn, which reports false when the node is closed; then ctx has ended, or
// is about to.
func New(ctx context.Context, spawn func(f func()) bool, maxOperations int) *Names {
	return &Names{ctx: ctx, spawn: spawn, slots: make(chan struct{}, maxOperations), entries: make(map[cluster.Name]*entry)}
}

// Busy reports whether operations are running or waiting.
func (n *Names) Busy() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range n.entries {
		if e.running != nil {
			return true
		}
	}
	return false
}

// Count returns the number of names that sessions of this node hold or claim.
func (n *Names) Count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.entries)
}

// Held returns the names that sessions of this node hold.
func (n *Names) Held() []cluster.Name {
	n.mu.Lock()
	defer n.mu.Unlock()
	held := make([]cluster.Name, 0, len(n.entries))
	for name, e := range n.entries {
		if e.record != (Record{}) {
			held = append(held, name)
		}
	}
	return held
}

// Holder returns the record of a name that a session of this node holds, zero if none does, and the
// revision of the key.
func (n *Names) Holder(name cluster.Name) (r Record, revision uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if e := n.entries[name]; e != nil {
		return e.record, e.revision
	}
	return Record{}, 0
}

// Set notes the record of a name that a session of this node holds now. It returns the session of
// this node that held it before. Only an operation on the name may call it.
func (n *Names) Set(name cluster.Name, r Record, revision uint64) (before cluster.SessionID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.entries[name]
	before = e.record.Session
	e.record, e.revision, e.leases = r, revision, n.leases.Load()
	return before
}

// SetClaiming notes whose claim of a name is running, zero for none. Only an operation on the name
// may call it.
func (n *Names) SetClaiming(name cluster.Name, session cluster.SessionID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.entries[name].running.claiming = session
}

// Find reports whether a session of this node, which is in the key of a name, holds that name, and
// whether its claim is still running.
func (n *Names) Find(name cluster.Name, session cluster.SessionID) (holds, claiming bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.entries[name]
	if e == nil {
		return false, false
	}
	return e.record.Session == session, e.running != nil && e.running.claiming == session
}

// LeaseEnded notes that a lease of this node has ended.
func (n *Names) LeaseEnded() { n.leases.Add(1) }

// SameLease reports whether no lease of this node has ended since the holder's key was written or
// seen: nobody may have taken the name as that of a node that has failed.
func (n *Names) SameLease(name cluster.Name) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.entries[name]
	return e != nil && e.leases == n.leases.Load()
}

// Confirm notes the revision with which session holds a name. It reports false if the session does
// not hold the name any more.
func (n *Names) Confirm(name cluster.Name, session cluster.SessionID, revision uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.entries[name]
	if e == nil || e.record.Session != session {
		return false
	}
	e.revision, e.leases = revision, n.leases.Load()
	return true
}

// NoRevision is above all revisions.
const NoRevision = ^uint64(0)

// Clear notes that session does not hold the name any more, and returns the revision of the key. It
// does nothing and reports false if the session does not hold the name with a revision below the
// given one.
func (n *Names) Clear(name cluster.Name, session cluster.SessionID, below uint64) (revision uint64, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.entries[name]
	if e == nil || e.record.Session != session || e.revision >= below {
		return 0, false
	}
	revision = e.revision
	e.record, e.revision = Record{}, 0
	if e.running == nil {
		delete(n.entries, name)
	}
	return revision, true
}

// Enqueue runs an operation after the earlier ones on the same name. It reports false if the node
// is closed.
func (n *Names) Enqueue(name cluster.Name, operation func()) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.entries[name]
	if e == nil {
		e = &entry{}
		n.entries[name] = e
	}
	if e.running == nil {
		if !n.spawn(func() { n.run(name, e) }) {
			return false
		}
		e.running = &operations{}
	}
	e.running.queue = append(e.running.queue, operation)
	return true
}

// run runs the operations of an entry.
func (n *Names) run(name cluster.Name, e *entry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for len(e.running.queue) > 0 {
		operation := e.running.queue[0]
		n.mu.Unlock()
		select {
		case n.slots <- struct{}{}:
			operation()
			<-n.slots
		case <-n.ctx.Done():
			operation() // ends at once
		}
		n.mu.Lock()
		e.running.queue = e.running.queue[1:]
	}
	e.running = nil
	if e.record == (Record{}) {
		delete(n.entries, name)
	}
}
