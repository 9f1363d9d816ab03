package client

import (
	"sync"
	"time"

	"parley/signal"
)

const (
	// crossingWait is how long after sending a leave a client stays connected to an original
	// server, for a leave that crosses it: that server dies of a leave to a user who has gone.
	crossingWait = 500 * time.Millisecond
	// partnerWait is how long a client waits for a partner that hangs up to close its socket first.
	// An original page stays connected after it has hung up.
	partnerWait = 2 * time.Second
)

// partner holds what an original call server remembers of the client's call: a partner for each of
// its two users, set by an offer or answer of that user and cleared by a leave for it. The server
// dies when the socket of a user closes whose partner has gone. So a user that was sent a leave
// must stay until the sender has closed its socket, which the server reports by a second leave.
type partner struct {
	changed chan struct{} // holds a token after a change of what follows

	mu       sync.Mutex // guards what follows
	name     string     // whom the client is in a call with, or was
	ours     bool       // the server has a partner for this client
	theirs   bool       // the server has this client as the partner of the other user
	sent     time.Time  // of a leave for the other user; zero for none
	received time.Time  // of a leave of the other user; zero for none
}

// noteSent records a message that was sent.
func (p *partner) noteSent(m signal.Message, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch m.Type {
	case signal.Offer, signal.Answer:
		p.theirs = m.Type == signal.Answer || p.theirs && p.name == m.Peer
		p.name, p.ours = m.Peer, true
		p.sent, p.received = time.Time{}, time.Time{}
	case signal.Leave:
		if p.name == m.Peer {
			p.theirs, p.sent = false, now
		}
	}
	p.notify()
}

// noteReceived records a message that has come. An original server does not name the sender of an
// answer or a leave.
func (p *partner) noteReceived(m signal.Message, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case m.Type == signal.Answer:
		p.theirs = true
	case m.Type == signal.Leave && p.ours:
		p.ours, p.received = false, now
	case m.Type == signal.Leave: // the second: the other user has gone
		p.theirs = false
	}
	p.notify()
}

func (p *partner) notify() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// closable returns when a client that wants to close its socket since then can do so; a time that
// is past means now.
func (p *partner) closable(since time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.theirs && p.received.IsZero():
		return since.Add(partnerWait)
	case p.theirs:
		return p.received.Add(partnerWait)
	case p.ours:
		return p.sent.Add(crossingWait)
	}
	return since
}

// wait waits until the socket can be closed, or over is closed.
func (p *partner) wait(over <-chan struct{}) {
	start := time.Now()
	for {
		left := time.Until(p.closable(start))
		if left <= 0 {
			return
		}
		select {
		case <-time.After(left):
		case <-p.changed:
		case <-over:
			return
		}
	}
}
