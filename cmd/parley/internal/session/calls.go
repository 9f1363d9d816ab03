package session

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Calls has the calls that are up, by the name of the peer.
type Calls struct {
	mu     sync.Mutex // guards the following
	byName map[string]*Session
	latest *Session
}

// Add adds a call, in place of one with the same peer.
func (l *Calls) Add(c *Session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byName == nil {
		l.byName = map[string]*Session{}
	}
	l.byName[c.peer], l.latest = c, c
}

// Remove removes a call that is over.
func (l *Calls) Remove(c *Session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byName[c.peer] == c {
		delete(l.byName, c.peer)
	}
	if l.latest == c {
		l.latest = nil
	}
}

// Get returns the call with a peer, nil if there is none. Where a message does not name its sender,
// name is "" and the call is the latest one.
func (l *Calls) Get(name string) *Session {
	l.mu.Lock()
	defer l.mu.Unlock()
	if name == "" {
		return l.latest
	}
	return l.byName[name]
}

// Find returns the call that a command is for: the one with a peer, or the only one if peer is "".
func (l *Calls) Find(peer string) (*Session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if peer != "" {
		if c := l.byName[peer]; c != nil {
			return c, nil
		}
		return nil, fmt.Errorf("there is no call with %q", peer)
	}
	switch len(l.byName) {
	case 0:
		return nil, errors.New("there is no call now")
	case 1:
		for _, c := range l.byName {
			return c, nil
		}
	}
	return nil, fmt.Errorf("there are %d calls; name one by peer", len(l.byName))
}

// All returns all calls, in no order.
func (l *Calls) All() []*Session {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Values(l.byName))
}

// SignalingRestored has the calls notified that the server is back without knowing of them.
func (l *Calls) SignalingRestored() {
	for _, c := range l.All() {
		c.Call.SignalingRestored()
	}
}
