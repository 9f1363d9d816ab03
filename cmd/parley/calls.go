package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// callSet has the calls that are up, by the name of the peer.
type callSet struct {
	mu     sync.Mutex // guards the following
	byName map[string]*session
	latest *session
}

// add adds a call, in place of one with the same peer.
func (l *callSet) add(c *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byName == nil {
		l.byName = map[string]*session{}
	}
	l.byName[c.name], l.latest = c, c
}

// remove removes a call that is over.
func (l *callSet) remove(c *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byName[c.name] == c {
		delete(l.byName, c.name)
	}
	if l.latest == c {
		l.latest = nil
	}
}

// get returns the call with a peer, nil if there is none. Where a message does not name its sender, name
// is "" and the call is the latest one.
func (l *callSet) get(name string) *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	if name == "" {
		return l.latest
	}
	return l.byName[name]
}

// find returns the call that a command is for: the one with a peer, or the only one if peer is "".
func (l *callSet) find(peer string) (*session, error) {
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

// all returns all calls, in no order.
func (l *callSet) all() []*session {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Values(l.byName))
}

// signalingRestored has the calls notified that the server is back without knowing of them.
func (l *callSet) signalingRestored() {
	for _, c := range l.all() {
		c.call.SignalingRestored()
	}
}
