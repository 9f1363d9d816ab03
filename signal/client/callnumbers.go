package client

import (
	"cmp"
	"slices"

	"parley/signal"
	"parley/signal/internal/wire"
)

// callNumbers are the numbers of the messages in the calls of a session, for a server that
// continues it. The zero value has no calls.
type callNumbers struct{ of map[string]*numbers }

type numbers struct {
	wire.CallNumbers
	left uint64 // number of the leave of the client, 0 if it has sent none
}

// open returns the numbers of a call with peer.
func (c *callNumbers) open(peer string) *numbers {
	if n := c.of[peer]; n != nil && n.left == 0 {
		return n
	}
	if c.of == nil {
		c.of = make(map[string]*numbers)
	}
	n := &numbers{CallNumbers: wire.CallNumbers{Peer: peer}}
	c.of[peer] = n
	return n
}

// noteSent records a message that was numbered.
func (c *callNumbers) noteSent(typ signal.Type, peer string, number uint64) {
	n := c.of[peer]
	switch {
	case peer == "":
		return
	case typ == signal.Offer && (n == nil || n.left != 0) && len(c.of) < maxOpenCalls:
		n = c.open(peer)
		n.Caller = true
	}
	if n == nil || n.left != 0 {
		return
	}
	if n.First == 0 {
		n.First = number
	}
	n.Last = number
	if typ == signal.Leave {
		n.left = number
	}
}

// noteReceived records a received message, whose number at its sender is 0 if that is not known.
func (c *callNumbers) noteReceived(m signal.Message, number uint64) {
	switch m.Type {
	case signal.Offer, signal.Answer, signal.ICECandidate:
		n := c.of[m.Peer]
		if m.Type == signal.Offer && m.Peer != "" && len(c.of) < maxOpenCalls {
			n = c.open(m.Peer)
		}
		if n != nil && n.left == 0 {
			n.Received = number
		}
	case signal.Leave:
		delete(c.of, m.Peer)
	case signal.Error:
		if m.Code != signal.CodeQueueFull {
			delete(c.of, m.Peer)
		}
	}
}

// trim forgets the calls whose leave was acknowledged: the last message that was has this number.
func (c *callNumbers) trim(acknowledged uint64) {
	for peer, n := range c.of {
		if n.left != 0 && n.left <= acknowledged {
			delete(c.of, peer)
		}
	}
}

// list returns the calls in the order of their names.
func (c *callNumbers) list() (list []wire.CallNumbers) {
	for _, n := range c.of {
		list = append(list, n.CallNumbers)
	}
	slices.SortFunc(list, func(a, b wire.CallNumbers) int { return cmp.Compare(a.Peer, b.Peer) })
	return list
}
