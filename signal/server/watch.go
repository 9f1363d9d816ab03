package server

import (
	"time"

	"parley/signal"
	"parley/signal/internal/wire"
	"parley/signal/internal/wsconn"
)

// watch is a name that the client of a session watches.
type watch struct {
	timer *time.Timer // ends it
}

// watch handles a request of a client to be notified when a name signs in.
func (c *conn) watch(w *wsconn.Batch, req wire.Request) error {
	name, problem := req.Name()
	if problem != "" {
		c.sendError(w, signal.CodeBadName, "the watch names nobody: "+problem, "")
		return nil
	}
	entry, code := c.session.addWatch(name)
	switch code {
	case signal.CodeLoginFirst:
		c.sendError(w, code, "sign in first, then watch a name", name)
		return nil
	case signal.CodeTooManyWatches:
		c.server.metrics.limited(code)
		c.sendError(w, code, "you, or all from your address, watch as many names as this server allows", name)
		return nil
	}
	s, target := c.session, c.session.hub.clusterName(name)
	err := c.server.watcher.Watch(c.server.ctx, target, s.id)
	if err == nil {
		_, err = c.server.node.Lookup(c.server.ctx, target)
		s.replyWatch(w, name, entry, err == nil)
		return nil
	}
	s.mu.Lock()
	s.endWatch(name, entry)
	s.mu.Unlock()
	c.sendError(w, signal.CodeUnavailable, "whether "+name+" signs in cannot be found out now; try again later", name)
	return nil
}

// addWatch adds or renews a watch. The code says why that is not possible.
func (s *session) addWatch(name string) (entry *watch, code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	server := s.hub.server
	before := s.watches[name]
	switch {
	case s.state != sessionOpen:
		return nil, signal.CodeLoginFirst
	case before != nil:
		s.stopWatch(before)
	case len(s.watches) >= server.limits.Watches:
		return nil, signal.CodeTooManyWatches
	case server.watches.Add(s.address) != "":
		server.watches.Remove(s.address)
		return nil, signal.CodeTooManyWatches
	}
	if s.watches == nil {
		s.watches = make(map[string]*watch, 1)
	}
	entry = &watch{}
	s.watches[name] = entry
	server.wait.Add(1)
	entry.timer = time.AfterFunc(server.limits.WatchFor, func() {
		defer server.wait.Done()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.endWatch(name, entry)
	})
	return entry, ""
}

// stopWatch stops the timer of a watch.
func (s *session) stopWatch(entry *watch) {
	if entry.timer.Stop() {
		s.hub.server.wait.Done()
	}
}

// endWatch ends a watch. It reports false if that has ended already. mu is held.
func (s *session) endWatch(name string, entry *watch) bool {
	if entry == nil || s.watches[name] != entry {
		return false
	}
	if delete(s.watches, name); len(s.watches) == 0 {
		s.watches = nil
	}
	s.stopWatch(entry)
	s.hub.server.watches.Remove(s.address)
	s.hub.server.watcher.Unwatch(s.hub.clusterName(name), s.id)
	return true
}

// endWatches ends all watches. mu is held.
func (s *session) endWatches() {
	for name, entry := range s.watches {
		s.endWatch(name, entry)
	}
}

// replyWatch answers a request to watch a name, unless the notification has been sent already. A
// watch of a name that is signed in is over.
func (s *session) replyWatch(w *wsconn.Batch, name string, entry *watch, present bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.watches[name] != entry:
	case present:
		s.notifyPresent(w, name)
	default:
		s.send(w, wire.AppendWatch(nil, name, false, s.hub.server.limits.WatchFor))
	}
}

// notifyPresent notifies the client that a watched name is signed in. mu is held.
func (s *session) notifyPresent(w *wsconn.Batch, name string) {
	if s.endWatch(name, s.watches[name]) {
		s.send(w, wire.AppendWatch(nil, name, true, 0))
	}
}

// announce notifies those who watch the name of a session that it takes part in calls.
func (s *session) announce(w *wsconn.Batch) {
	if s.hub.server.watcher != nil && s.heldName() != "" {
		s.hub.server.watcher.Announce(s.hub.clusterName(s.name), s.id, w)
	}
}
