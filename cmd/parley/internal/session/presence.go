package session

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/signaling"
	"parley/signal"
	"parley/signal/client"
)

const (
	// The pause between two offers to a peer that may be absent grows from minOfferPause to
	// maxOfferPause, and is jittered by a quarter.
	minOfferPause = time.Second
	maxOfferPause = 3 * time.Second
	// absenceDelay is how long a server that reports an absent peer may take for it.
	absenceDelay = 2 * time.Second
	// maxEarlyMessages bounds the messages of the peer that are kept while the call does not exist.
	maxEarlyMessages = 256
)

// A Presence waits for the peer of a call to sign in, for --wait. Where the server notifies the
// client, the call begins afterwards. Otherwise the call sends its first offer again and again. A
// Presence is a middleware of the call.
type Presence struct {
	conn     *signaling.Conn
	name     string
	wait     time.Duration
	reporter *event.Reporter // of the status line
	began    time.Time
	reported bool             // the server reports an absent peer
	session  *Session         // nil before the call
	early    []signal.Message // of the peer, before the call
	absent   chan struct{}    // holds a token after the server has reported that the peer is absent
	present  chan struct{}    // closed when the peer is signed in
	once     sync.Once        // closes present
}

// AwaitPresence waits for the time of --wait at most until a name is signed in, or returns at once
// if the call has to find that out, as with an original server. It returns nil without --wait,
// which is 0. receive says that messages of the server have to be received meanwhile.
func AwaitPresence(ctx context.Context, l *signaling.Conn, name string, wait time.Duration, reporter *event.Reporter, receive bool) (*Presence, error) {
	if wait <= 0 {
		return nil, nil
	}
	p := &Presence{
		conn: l, name: name, wait: wait, reporter: reporter, began: time.Now(), reported: l.ReportsAbsence(),
		absent: make(chan struct{}, 1), present: make(chan struct{}),
	}
	if !p.reported && l.Dialect == signal.DialectRelay {
		return nil, exit.Errorf(exit.Failure, "--wait: the signaling server %s does not report who is signed in, and ends when an absent peer is called; start %s first",
			sanitize.Text(l.Server), sanitize.Text(name))
	}
	l.Logger.Debug("waiting for the peer to sign in", "peer", name)
	p.report("waiting", "")
	if !p.reported {
		return p, nil
	}
	waiting, cancel := context.WithDeadline(ctx, p.deadline())
	defer cancel()
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel()
	beside.Go(func() { p.drawStatus(waiting) })
	if receive {
		beside.Go(func() { p.receiveEarly(waiting) })
	}
	err := l.Watch(waiting, name)
	switch {
	case err == nil:
		p.found()
		return p, nil
	case ctx.Err() != nil:
		return nil, exit.OrInterruption(ctx, err)
	case waiting.Err() != nil:
		p.report("absent", "")
		return nil, p.err()
	case errors.Is(err, client.ErrNotWatched):
		l.Logger.Debug("the offer is sent again until the peer is there", "reason", err)
		return p, nil
	}
	return nil, err
}

// deadline returns when the wait is over.
func (p *Presence) deadline() time.Time { return p.began.Add(p.wait) }

// report reports the state of the wait.
func (p *Presence) report(state, message string) {
	e := event.Event{Name: "presence", Peer: p.name, Fields: event.Fields("state", state), Message: message, Detail: true}
	if p.session != nil {
		p.session.Emit(e)
		return
	}
	p.conn.Report.Report(e)
}

// found notes that the peer is signed in.
func (p *Presence) found() {
	p.once.Do(func() {
		close(p.present)
		p.clearStatus()
		p.report("present", sanitize.Text(p.name)+" is signed in")
	})
}

// Present returns a channel that is closed when the peer is signed in.
func (p *Presence) Present() <-chan struct{} { return p.present }

// isPresent reports whether the peer is signed in.
func (p *Presence) isPresent() bool {
	select {
	case <-p.present:
		return true
	default:
		return false
	}
}

// err is the error of a wait that is over.
func (p *Presence) err() error {
	p.clearStatus()
	if !p.reported {
		return exit.Errorf(exit.Absent, "%s has not answered at %s within %s; this server does not report who is signed in", sanitize.Text(p.name), sanitize.Text(p.conn.Server), p.wait)
	}
	return exit.Errorf(exit.Absent, "%s has not signed in at %s within %s", sanitize.Text(p.name), sanitize.Text(p.conn.Server), p.wait)
}

// drawStatus draws a status line on a terminal every second, until ctx ends or the peer is present.
func (p *Presence) drawStatus(ctx context.Context) {
	if !p.reporter.Interactive() {
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		p.reporter.Status(fmt.Sprintf("waiting for %s to sign in: %s of %s", sanitize.Text(p.name), time.Since(p.began).Round(time.Second), p.wait))
		select {
		case <-ctx.Done():
			return
		case <-p.present:
			return
		case <-tick.C:
		}
	}
}

func (p *Presence) clearStatus() {
	if p.reporter.Interactive() {
		p.reporter.Status("")
	}
}

// receiveEarly receives the messages of the server until ctx ends. Those of the peer are kept for
// the call, other callers are rejected.
func (p *Presence) receiveEarly(ctx context.Context) {
	for {
		m, err := p.conn.Receive(ctx)
		switch {
		case err != nil:
			return
		case m.Peer != p.name:
			p.conn.RejectBusy(ctx, m)
		case m.Type == signal.Leave:
			p.early = nil
		case m.Type != signal.Error && len(p.early) < maxEarlyMessages:
			p.early = append(p.early, m)
		}
	}
}

// Attach makes the wait go on during a call, before it is placed. It may be called on nil.
func (p *Presence) Attach(c *Session) {
	if p != nil {
		p.session, c.presence = c, p
		c.Intercept(p)
		if c.Began = time.Now(); c.Received != nil {
			c.Received.Begin = c.Began // its files are open since before the wait
		}
	}
}

// DeliverEarly delivers the messages that came before the call. It may be called on nil.
func (p *Presence) DeliverEarly() {
	if p == nil {
		return
	}
	for _, m := range p.early {
		p.session.Deliver(m)
	}
	p.early = nil
}

// Send implements signaling.Middleware.
func (p *Presence) Send(ctx context.Context, m signal.Message, next signaling.SendFunc) error {
	return next(ctx, m)
}

// Deliver implements signaling.Middleware.
func (p *Presence) Deliver(m signal.Message, next signaling.DeliverFunc) {
	switch {
	case m.Type != signal.Error:
		p.found()
	case (m.Code == signal.CodeAbsent || m.Code == signal.CodeUnavailable) && !p.session.IsConnected() && time.Now().Before(p.deadline()):
		select {
		case p.absent <- struct{}{}:
		default:
		}
		return
	}
	next(m)
}

// run sends the first offer of the call again while the peer is absent, until ctx or the wait ends.
func (p *Presence) run(ctx context.Context) {
	deadline := time.NewTimer(time.Until(p.deadline()))
	defer deadline.Stop()
	status := make(chan struct{})
	if p.isPresent() {
		close(status)
	} else {
		go func() { defer close(status); p.drawStatus(ctx) }()
	}
	defer func() { <-status }()
	pause, absent := minOfferPause, false
	next := time.NewTimer(p.pause(pause, absent))
	defer next.Stop()
	present := p.present
	for {
		select {
		case <-ctx.Done():
			return
		case <-present:
			present = nil
			if !p.reported {
				return
			}
		case <-p.absent:
			absent = true
			next.Reset(p.pause(pause, absent))
		case <-next.C:
			if p.reported && !absent {
				p.found()
				continue
			}
			absent = false
			p.session.Call.ResendOffer()
			pause = min(pause*3/2, maxOfferPause)
			next.Reset(p.pause(pause, absent))
		case <-deadline.C:
			if !p.isPresent() || absent {
				p.report("absent", "")
				p.session.notThere(p.err())
			}
			return
		}
	}
}

// pause returns the time until the next offer, or until an absent peer would have been reported.
func (p *Presence) pause(d time.Duration, absent bool) time.Duration {
	if p.reported && !absent {
		return absenceDelay
	}
	return d*3/4 + rand.N(d/2)
}
