// Package watches notifies sessions of a node when a name is claimed at any node of the cluster.
//
// Each watched name has a topic on the bus that connects the nodes. A node that claims a name
// publishes the holder to its topic. What was published before a subscription has reached all of
// the bus, or while the node was cut off, is found by looking up the name again.
package watches

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"parley/signal/cluster"
)

const (
	// firstLookup is when a watched name is looked up, after the subscription: a bus of several
	// servers knows of it then. Afterwards it is looked up every lookupInterval.
	firstLookup    = time.Second
	lookupInterval = 15 * time.Second
)

// Bus connects the nodes of a cluster. All methods may be called concurrently.
type Bus interface {
	// Subscribe calls receive for what is published to the topic of a name from now on, until the
	// returned function is called. It returns when the server of this node knows of it, or an error
	// if ctx ends before.
	Subscribe(ctx context.Context, n cluster.Name, receive func([]byte)) (end func(), err error)
	// Publish sends data to the subscribers of the topic of a name.
	Publish(n cluster.Name, data []byte)
	// Spawn runs f in a goroutine that the node waits for. It reports false if the node is closed.
	Spawn(f func()) bool
	// Done is closed when the node ends.
	Done() <-chan struct{}
	Lookup(ctx context.Context, n cluster.Name) (cluster.SessionID, error)
	Deliver(to cluster.SessionID, m cluster.Message, b cluster.Batch) bool
}

// Watches are the watches of a node. It implements cluster.Watcher.
type Watches struct {
	bus Bus

	mu    sync.Mutex // guards names, and their sessions
	names map[cluster.Name]*watched
}

// watched is a name that sessions of this node watch.
type watched struct {
	sessions map[cluster.SessionID]struct{}
	ready    chan struct{} // closed when the subscription is made, or has failed; err is set before
	err      error
	end      func()        // ends the subscription; set with ready
	ended    chan struct{} // closed when nobody watches the name any more
}

// New returns the watches of a node that has none.
func New(bus Bus) *Watches { return &Watches{bus: bus, names: make(map[cluster.Name]*watched)} }

// Watch implements cluster.Watcher.
func (w *Watches) Watch(ctx context.Context, n cluster.Name, session cluster.SessionID) error {
	w.mu.Lock()
	entry := w.names[n]
	isNew := entry == nil
	if isNew {
		entry = &watched{sessions: make(map[cluster.SessionID]struct{}, 1), ready: make(chan struct{}), ended: make(chan struct{})}
		w.names[n] = entry
	}
	entry.sessions[session] = struct{}{}
	w.mu.Unlock()
	if isNew {
		w.subscribe(ctx, n, entry)
	}
	select {
	case <-entry.ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	return entry.err
}

// subscribe makes the subscription of a name.
func (w *Watches) subscribe(ctx context.Context, n cluster.Name, entry *watched) {
	end, err := w.bus.Subscribe(ctx, n, func(data []byte) {
		if holder, ok := parseSession(data); ok {
			w.notify(n, entry, holder, nil)
		}
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	entry.end, entry.err = end, err
	close(entry.ready)
	switch {
	case err != nil:
		w.remove(n, entry)
	case w.names[n] != entry: // nobody watches it any more
		end()
	default:
		w.bus.Spawn(func() { w.lookUp(n, entry) })
	}
}

// lookUp looks up a watched name again and again.
func (w *Watches) lookUp(n cluster.Name, entry *watched) {
	timer := time.NewTimer(firstLookup)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-entry.ended:
			return
		case <-w.bus.Done():
			return
		}
		if holder, err := w.bus.Lookup(context.Background(), n); err == nil {
			w.notify(n, entry, holder, nil)
		}
		timer.Reset(lookupInterval)
	}
}

// Unwatch implements cluster.Watcher.
func (w *Watches) Unwatch(n cluster.Name, session cluster.SessionID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	entry := w.names[n]
	if entry == nil {
		return
	}
	if delete(entry.sessions, session); len(entry.sessions) == 0 {
		w.remove(n, entry)
	}
}

// remove ends the subscription of a name. mu is held.
func (w *Watches) remove(n cluster.Name, entry *watched) {
	if w.names[n] != entry {
		return
	}
	delete(w.names, n)
	close(entry.ended)
	if entry.end != nil {
		entry.end()
	}
}

// Announce implements cluster.Watcher.
func (w *Watches) Announce(n cluster.Name, holder cluster.SessionID, b cluster.Batch) {
	w.mu.Lock()
	entry := w.names[n]
	w.mu.Unlock()
	if entry != nil {
		w.notify(n, entry, holder, b)
	}
	w.bus.Publish(n, appendSession(nil, holder))
}

// notify sends Present to the sessions that watch a name, and ends their watches.
func (w *Watches) notify(n cluster.Name, entry *watched, holder cluster.SessionID, b cluster.Batch) {
	w.mu.Lock()
	if w.names[n] != entry {
		w.mu.Unlock()
		return
	}
	sessions := entry.sessions
	entry.sessions = nil
	w.remove(n, entry)
	w.mu.Unlock()
	for session := range sessions {
		w.bus.Deliver(session, cluster.Message{Kind: cluster.Present, From: holder, FromName: n.Text}, b)
	}
}

func appendSession(b []byte, id cluster.SessionID) []byte {
	return binary.BigEndian.AppendUint64(append(b, id.Node[:]...), id.Number)
}

// parseSession returns the session in what was published.
func parseSession(data []byte) (id cluster.SessionID, ok bool) {
	if len(data) != len(id.Node)+8 {
		return id, false
	}
	copy(id.Node[:], data)
	id.Number = binary.BigEndian.Uint64(data[len(id.Node):])
	return id, id.Number != 0
}
