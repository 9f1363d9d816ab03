package nats

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	natsgo "github.com/nats-io/nats.go"

	"parley/signal"
	"parley/signal/cluster"
	"parley/signal/cluster/nats/links"
	"parley/signal/cluster/nats/names"
)

const (
	// maxPending bounds the bytes that wait in this process to be received, for each lane.
	maxPending = 64 << 20
	// leftSubject is the end of the subject on which a node announces that its lease has ended.
	leftSubject = "left"
)

// subject returns a subject of the cluster.
func (n *Node) subject(rest string) string {
	return n.opts.Prefix + ".v" + strconv.Itoa(schemaVersion) + "." + rest
}

// nodeSubject returns a subject on which a node receives.
func (n *Node) nodeSubject(id cluster.NodeID, last string) string {
	return n.subject("n." + id.String() + "." + last)
}

// laneSubject returns the subject of the batches to a node in a lane.
func (n *Node) laneSubject(id cluster.NodeID, lane uint64) string {
	return n.nodeSubject(id, strconv.FormatUint(lane, 10))
}

// subscribe receives the messages to this node.
func (n *Node) subscribe() error {
	for lane := range uint64(links.Lanes) {
		sub, err := n.conn.Subscribe(n.laneSubject(n.ID(), lane), n.handleBatch)
		if err != nil {
			return err
		}
		if err := sub.SetPendingLimits(-1, maxPending); err != nil {
			return err
		}
	}
	_, err := n.conn.Subscribe(n.subject(leftSubject), func(*natsgo.Msg) { n.wakeUp() })
	return err
}

// handleBatch passes a batch to the links of this node, and answers.
func (n *Node) handleBatch(m *natsgo.Msg) {
	if m.Reply == "" {
		return
	}
	if answer := n.links.Receive(m.Data); answer != nil {
		_ = m.Respond(answer)
	}
}

// Send implements cluster.Router.
func (n *Node) Send(to cluster.SessionID, m cluster.Message, b cluster.Batch) {
	switch {
	case to.Node != n.ID():
		n.links.Send(to, m, b)
	case !n.Deliver(to, m, b) && m.Kind != cluster.Gone:
		n.Deliver(m.From, cluster.Message{Kind: cluster.Gone, From: to, PeerCall: m.Call}, b)
	}
}

// Detach implements cluster.Router.
func (n *Node) Detach(id cluster.SessionID) {
	n.Sessions.Detach(id)
	n.links.End(id)
}

// network is what the packages links and watches need of a node: it implements links.Network and
// watches.Bus.
type network struct{ *Node }

// SendBatch implements links.Network.
func (n network) SendBatch(ctx context.Context, to cluster.NodeID, lane uint64, data []byte) ([]byte, error) {
	answer, err := n.conn.RequestWithContext(ctx, n.laneSubject(to, lane), data)
	switch {
	case errors.Is(err, natsgo.ErrNoResponders):
		return nil, links.ErrNoReceiver
	case err != nil:
		return nil, err
	}
	return answer.Data, nil
}

// CheckNode implements links.Network.
func (n network) CheckNode(ctx context.Context, id cluster.NodeID) (lost bool) {
	if live, err := n.isLive(ctx, id); err != nil || live {
		return false
	}
	n.nodeLost(id)
	return true
}

// NameLost implements links.Network.
func (n network) NameLost(session cluster.SessionID, name cluster.Name, revision uint64, m cluster.Message) {
	n.names.Enqueue(name, func() {
		if _, ok := n.names.Clear(name, session, revision); ok {
			n.Deliver(session, m, nil)
		}
	})
}

// NameProbed implements links.Network. It removes the names that the session has left behind.
func (n network) NameProbed(session cluster.SessionID, text string) {
	for _, space := range [...]signal.Dialect{signal.DialectCall, signal.DialectRelay} {
		name := cluster.Name{Space: string(space), Text: text}
		n.names.Enqueue(name, func() { _, _ = n.removeRecord(name, session) })
	}
}

func (n network) topic(name cluster.Name) string { return n.subject("w." + names.Key(name)) }

// Subscribe implements watches.Bus.
func (n network) Subscribe(ctx context.Context, name cluster.Name, receive func([]byte)) (end func(), err error) {
	if !n.conn.IsConnected() {
		return nil, fmt.Errorf("%w: no connection to NATS", cluster.ErrUnavailable)
	}
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	sub, err := n.conn.Subscribe(n.topic(name), func(m *natsgo.Msg) { receive(m.Data) })
	if err != nil {
		return nil, errors.Join(cluster.ErrUnavailable, err)
	}
	if err := n.conn.FlushWithContext(ctx); err != nil {
		_ = sub.Unsubscribe()
		return nil, errors.Join(cluster.ErrUnavailable, err)
	}
	return func() { _ = sub.Unsubscribe() }, nil
}

// Publish implements watches.Bus.
func (n network) Publish(name cluster.Name, data []byte) { _ = n.conn.Publish(n.topic(name), data) }

// Spawn implements links.Network and watches.Bus.
func (n network) Spawn(f func()) bool { return n.spawn(f) }

// Done implements watches.Bus.
func (n network) Done() <-chan struct{} { return n.ctx.Done() }
