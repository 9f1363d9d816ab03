package adapter

import (
	"context"
	"crypto/rand"
	"fmt"

	"parley/cmd/parley/internal/signaling"
	"parley/signal"
)

// call is the signaling of one call: a signaling.CallTransport.
type call struct {
	adapter  *Adapter
	peer     string
	id       string             // guarded by adapter.mu; "" before the first message
	gatherer signaling.Gatherer // unless the program has trickle ICE
}

// Send implements signaling.CallTransport.
func (c *call) Send(ctx context.Context, m signal.Message) error {
	if !c.trickles() && c.gatherer.Add(m) {
		return nil
	}
	line, err := c.lineOf(m)
	if line == nil || err != nil {
		return err
	}
	return c.adapter.write(ctx, line)
}

func (c *call) trickles() bool {
	c.adapter.mu.Lock()
	defer c.adapter.mu.Unlock()
	return c.adapter.trickle
}

// queue sends a message if the program reads.
func (c *call) queue(m signal.Message) {
	line, err := c.lineOf(m)
	if line == nil || err != nil {
		return
	}
	select {
	case c.adapter.program.queue <- line:
	default:
		c.adapter.options.Logger.Debug("the signaling program does not read", "lost", m.Type)
	}
}

// lineOf returns the line for a message, nil if the peer has left, and notes what it means to the
// call.
func (c *call) lineOf(m signal.Message) ([]byte, error) {
	a := c.adapter
	a.mu.Lock()
	defer a.mu.Unlock()
	id := a.incoming[c.peer]
	switch {
	case c.id == "" && m.Type == signal.Offer:
		if len(a.calls) >= maxCalls {
			return nil, fmt.Errorf("there are %d calls already", maxCalls)
		}
		c.id = rand.Text()
		a.calls[c.id] = &state{peer: c.peer}
	case id != "" && (c.id == "" || m.Type == signal.Answer): // of a call of theirs, which may have crossed ours
		if c.id != "" {
			a.remove(c.id)
		}
		c.id = id
		delete(a.incoming, c.peer)
	}
	s := a.calls[c.id]
	if s == nil {
		return nil, nil
	}
	m.Peer = c.peer
	line, err := sent(m, c.id)
	switch m.Type {
	case signal.Offer:
		s.awaits = true
	case signal.Leave:
		a.remove(c.id)
	}
	return line, err
}

// GatheringComplete implements signaling.CallTransport.
func (c *call) GatheringComplete() { c.gatherer.Complete() }

// End implements signaling.CallTransport.
func (c *call) End() {
	c.gatherer.Stop()
	c.adapter.mu.Lock()
	open := c.adapter.calls[c.id] != nil
	c.adapter.mu.Unlock()
	if open {
		c.queue(signal.Message{Type: signal.Leave})
	}
}
