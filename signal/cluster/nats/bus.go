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
)

// bus is the watches.Bus of a node.
type bus struct{ *Node }

func (b bus) topic(n cluster.Name) string {
	return b.opts.Prefix + ".v" + strconv.Itoa(schemaVersion) + ".w." + nameKey(n)
}

// Subscribe implements watches.Bus.
func (b bus) Subscribe(ctx context.Context, n cluster.Name, receive func([]byte)) (end func(), err error) {
	if !b.conn.IsConnected() {
		return nil, fmt.Errorf("%w: no connection to NATS", cluster.ErrUnavailable)
	}
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	sub, err := b.conn.Subscribe(b.topic(n), func(m *natsgo.Msg) { receive(m.Data) })
	if err != nil {
		return nil, errors.Join(cluster.ErrUnavailable, err)
	}
	if err := b.conn.FlushWithContext(ctx); err != nil {
		_ = sub.Unsubscribe()
		return nil, errors.Join(cluster.ErrUnavailable, err)
	}
	return func() { _ = sub.Unsubscribe() }, nil
}

// Publish implements watches.Bus.
func (b bus) Publish(n cluster.Name, data []byte) { _ = b.conn.Publish(b.topic(n), data) }

// Spawn implements watches.Bus.
func (b bus) Spawn(f func()) bool { return b.spawn(f) }

// Done implements watches.Bus.
func (b bus) Done() <-chan struct{} { return b.ctx.Done() }

// maxPending bounds the bytes that wait in this process to be received.
const maxPending = 64 << 20

// network is the links.Network of a node.
type network struct{ *Node }

// Request implements links.Network.
func (n network) Request(ctx context.Context, to cluster.NodeID, lane uint64, data []byte) ([]byte, error) {
	answer, err := n.conn.RequestWithContext(ctx, n.subject(to, strconv.FormatUint(lane, 10)), data)
	switch {
	case errors.Is(err, natsgo.ErrNoResponders):
		return nil, links.ErrNoReceiver
	case err != nil:
		return nil, err
	}
	return answer.Data, nil
}

// IsLive implements links.Network.
func (n network) IsLive(ctx context.Context, id cluster.NodeID) (bool, error) {
	return n.isLive(ctx, id)
}

// NodeLost implements links.Network.
func (n network) NodeLost(id cluster.NodeID) { n.nodeLost(id) }

// NameLost implements links.Network.
func (n network) NameLost(session cluster.SessionID, name cluster.Name, revision uint64, m cluster.Message) {
	n.handleLost(session, name, revision, m)
}

// NameAsked implements links.Network. It removes the names that a session of this node has left
// behind.
func (n network) NameAsked(session cluster.SessionID, text string) {
	for _, space := range [...]signal.Dialect{signal.DialectCall, signal.DialectRelay} {
		name := cluster.Name{Space: string(space), Text: text}
		n.enqueue(name, func() { _, _ = n.removeRecord(name, session) })
	}
}

// Spawn implements links.Network.
func (n network) Spawn(f func()) bool { return n.spawn(f) }

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

func (n *Node) subject(node cluster.NodeID, last string) string {
	return n.opts.Prefix + ".v" + strconv.Itoa(schemaVersion) + ".n." + node.String() + "." + last
}

func (n *Node) leftSubject() string {
	return n.opts.Prefix + ".v" + strconv.Itoa(schemaVersion) + ".left"
}

// subscribe receives the messages to this node.
func (n *Node) subscribe() error {
	for lane := range links.Lanes {
		sub, err := n.conn.Subscribe(n.subject(n.ID(), strconv.Itoa(lane)), n.handleBatch)
		if err != nil {
			return err
		}
		if err := sub.SetPendingLimits(-1, maxPending); err != nil {
			return err
		}
	}
	_, err := n.conn.Subscribe(n.leftSubject(), func(*natsgo.Msg) { n.wakeUp() })
	return err
}

// handleBatch delivers the messages of a batch that were not delivered before, and answers.
func (n *Node) handleBatch(m *natsgo.Msg) {
	if m.Reply == "" {
		return
	}
	if answer := n.links.Receive(m.Data); answer != nil {
		_ = m.Respond(answer)
	}
}
